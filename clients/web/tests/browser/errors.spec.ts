import { request } from 'node:http';
import { App } from './app';
import { expect, KEY, test } from './fixtures';
import { photo, withMissingRows } from './images';
import type { Server } from './server';

// Chromium logs every error response.
test.use({ allowedMessages: [/Failed to load resource/] });

const LONG = [
	[0.27, 0.04],
	[0.62, 0.82]
] as const;

/**
 * Take a place in a server's queue with a request whose body never ends, sent fast enough for the server's limits.
 *
 * @returns a function that frees the place
 */
async function takePlace({ url }: Server): Promise<() => void> {
	const headers = { 'Content-Type': 'application/json' };
	const upload = request(`${url}/predictions/inpaint`, { method: 'POST', headers, agent: false });
	upload.on('error', () => undefined); // it is cut off
	const send = () => upload.write(' '.repeat(20_000));
	send();
	const sending = setInterval(send, 1000);
	const metrics = async () => (await fetch(`${url}/metrics`)).text();
	await expect.poll(metrics).toMatch(/^inpaint_predictions_waiting 1/m);
	return () => {
		clearInterval(sending);
		upload.destroy();
	};
}

test('a busy server is retried; the wait can be cancelled, and the paint is kept', async ({ page, startServer }) => {
	const server = await startServer('--concurrency', '1', '--queue-size', '0', '--threads', '1');
	const app = await App.open(page, server.url, { collecting: true });
	await app.openSample();
	await app.paint(...LONG);
	const before = await app.saveMask();
	const giveBack = await takePlace(server);
	await app.remove.click();
	await page.getByText(/The server is busy. Trying again in \d+ s/).waitFor();
	await app.button('Cancel').click();
	await expect(app.remove).toBeEnabled();
	expect((await app.saveMask()).equals(before)).toBe(true);
	await app.remove.click();
	await expect(page.getByRole('status')).toHaveText('The server is busy. Trying again soon.');
	giveBack();
	await app.finished();
});

test('an unreachable server is reported, the paint is kept, and the removal can be retried', async ({
	page,
	recorder
}) => {
	const app = await App.open(page, recorder.url);
	await app.openSample();
	await recorder.stop();
	await app.paint(...LONG);
	await expect(page.getByRole('alert')).toContainText("Can't reach the server");
	expect(await app.shownPaint()).toBeGreaterThan(0);
	await recorder.start();
	await app.button('Try again').click();
	await app.finished();

	await recorder.stop();
	await app.paint([0.7, 0.1], [0.88, 0.3]);
	await expect(page.getByRole('alert')).toContainText("Can't reach the server");
	await recorder.start();
	// More paint can be added and erased before the next attempt.
	await app.paint([0.2, 0.8], [0.4, 0.8]);
	await app.button('Eraser').click();
	await app.paint([0.2, 0.8], [0.3, 0.8]);
	await app.remove.click();
	await expect(app.remove).toBeHidden();
	await app.finished();
	await expect(app.button('Brush')).toHaveAttribute('aria-pressed', 'true');
	expect(recorder.forms).toHaveLength(2);
});

test('a server that does not report its capabilities in time is still used', async ({ page, server }) => {
	await page.clock.install();
	let answer = () => {};
	const asked = new Promise<void>((resolve) => (answer = resolve));
	await page.route('**/v2', async (route) => {
		await asked;
		await route.continue();
	});
	const app = await App.open(page, server.url);
	await page.getByRole('button', { name: /Try this sample/ }).click();
	await page.clock.fastForward(3000);
	await app.picture.waitFor();
	await app.paint(...LONG);
	await expect(app.progress).toBeVisible();
	await app.button('Cancel').click();
	await expect(app.progress).toBeHidden();
	const removal = page.waitForResponse('**/predictions/inpaint');
	await app.remove.click();
	answer();
	expect((await removal).status()).toBe(200);
	await app.finished();
});

test('the access key is asked for once per session', async ({ page, lockedServer }) => {
	const app = await App.open(page, lockedServer.url, { collecting: true });
	await app.openSample();
	await app.paint(...LONG);
	const key = page.getByRole('textbox', { name: 'Access key' });
	await app.remove.click();
	await expect(page.getByRole('alert')).toContainText('This server needs an access key');
	await expect(key).toBeFocused();
	await key.fill('ключ');
	await page.keyboard.press('Enter');
	await expect(page.getByRole('alert')).toContainText("That access key isn't right.");
	await expect(key).toHaveValue('ключ');
	await expect(key).toBeFocused();
	// A wrong key is not stored.
	expect(await page.evaluate(() => sessionStorage.getItem('inpaint-key'))).toBeNull();
	await key.fill(KEY);
	await app.button('Continue').click();
	await app.finished();

	await app.reload();
	await app.paint([0.3, 0.3], [0.6, 0.6]);
	await app.remove.click();
	await app.finished();
	await expect(app.remove).toBeDisabled();
});

test("the server's reason for a refusal is shown, and the paint is kept", async ({ page, server }) => {
	// A PNG without its last rows: Chromium shows the others, the server refuses the file.
	const app = await App.open(page, server.url, { collecting: true });
	await app.choose(withMissingRows(await photo(page, 200, 150, 'image/png')), 'half.png', 'image/png');
	await app.paint([0.3, 0.3], [0.6, 0.6]);
	const before = await app.saveMask();
	await app.remove.click();
	await expect(page.getByRole('alert')).toContainText("The server can't use this photo");
	await expect(page.getByRole('alert')).toContainText('The image cannot be decoded');
	expect((await app.saveMask()).equals(before)).toBe(true);
});

test("the server's limits are checked before uploading, or by the server if it does not report them", async ({
	page,
	startServer
}) => {
	const server = await startServer('--max-pixels', '200000', '--max-body-bytes', '150000');
	// As with TorchServe, which does not have this path.
	await page.route('**/v2', (route) => route.fulfill({ status: 404, body: '{}' }));
	const app = await App.open(page, server.url, { collecting: true });
	await app.openSample();
	await app.paint(...LONG);
	await app.remove.click();
	await expect(page.getByRole('alert')).toContainText('This photo is too large for the server');
	await expect(page.getByRole('alert')).toContainText('512x512');

	await page.unroute('**/v2');
	await app.reload();
	await app.button('New photo').click();
	await app.choose(await photo(page, 600, 400), 'wide.jpg');
	await expect(page.getByRole('alert')).toContainText('This photo is 600 × 400 pixels (0.2 megapixels)');
	await app.choose(Buffer.concat([await photo(page, 300, 200), Buffer.alloc(200_000)]), 'heavy.jpg');
	await expect(page.getByRole('alert')).toContainText('This file is 0.2 MB; the limit is 0.1 MB');
	await app.choose(await photo(page, 300, 200), 'right.jpg');
	await app.picture.waitFor();
});
