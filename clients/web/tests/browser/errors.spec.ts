import { App } from './app';
import { expect, test, type Page } from './fixtures';
import { photo, withMissingRows } from './images';
import { Server } from './server';

// Chromium logs every error response.
const ERROR_RESPONSES = /Failed to load resource/;
test.use({ allowedMessages: [ERROR_RESPONSES] });

async function painted(page: Page, url: string): Promise<App> {
	const app = await App.open(page, url);
	await app.openSampleToCollect();
	await app.paint([0.27, 0.04], [0.62, 0.82]);
	return app;
}

/** A request that keeps a server busy for seconds or longer, by size: a photo with a grid as its mask. */
async function hardWork(page: Page, side: number): Promise<FormData> {
	const grid = await page.evaluate(async (side) => {
		const canvas = new OffscreenCanvas(side, side);
		const context = canvas.getContext('2d')!;
		context.fillRect(0, 0, side, side);
		context.fillStyle = '#fff';
		for (let i = 40; i < side; i += 80) {
			context.fillRect(i, 0, 2, side);
			context.fillRect(0, i, side, 2);
		}
		const bytes = new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer());
		return btoa(bytes.reduce((text, byte) => text + String.fromCharCode(byte), ''));
	}, side);
	const form = new FormData();
	form.set('image', new Blob([new Uint8Array(await photo(page, side, side))]), 'image');
	form.set('mask', new Blob([Buffer.from(grid, 'base64')]), 'mask');
	return form;
}

/** Keep a server busy. Resolves to the status of the response. */
async function keepBusy(server: Server, work: FormData): Promise<number> {
	const answer = await fetch(`${server.url}/predictions/inpaint`, { method: 'POST', body: work });
	await answer.arrayBuffer();
	return answer.status;
}

async function running(url: string): Promise<string | undefined> {
	const metrics = await (await fetch(`${url}/metrics`)).text();
	return /^inpaint_predictions_running (\d+)/m.exec(metrics)?.[1];
}

test.describe('a busy server', () => {
	let server: Server;
	let app: App;

	test.beforeEach(async ({ page }) => {
		server = await Server.start(['--concurrency', '1', '--queue-size', '0', '--threads', '1']);
		app = await painted(page, server.url);
	});

	test('is retried', async ({ page }) => {
		const other = keepBusy(server, await hardWork(page, 1200));
		await expect.poll(() => running(server.url), { intervals: [20] }).toBe('1');
		await app.remove.click();
		await expect(page.getByText(/The server is busy. Trying again in \d+ s/)).toBeVisible();
		await expect(page.getByRole('status')).toHaveText('The server is busy. Trying again soon.');
		await app.finished();
		expect(await other).toBe(200);
		await server.stop();
	});

	test('need not be waited for: the paint is kept', async ({ page }) => {
		const before = await app.saveMask();
		const other = keepBusy(server, await hardWork(page, 4000)).catch(() => 'cut off');
		await expect.poll(() => running(server.url), { intervals: [20] }).toBe('1');
		await app.remove.click();
		await page.getByText(/Trying again in/).waitFor();
		await app.button('Cancel').click();
		await expect(app.remove).toBeEnabled();
		expect((await app.saveMask()).equals(before)).toBe(true);
		await server.stop('SIGKILL');
		await other;
	});
});

test('a slow removal can be cancelled, and the paint is kept', async ({ page }) => {
	const server = await Server.start(['--concurrency', '1', '--threads', '1']);
	try {
		const app = await painted(page, server.url);
		const before = await app.saveMask();
		const other = keepBusy(server, await hardWork(page, 1200));
		await expect.poll(() => running(server.url), { intervals: [20] }).toBe('1');
		await app.remove.click();
		await expect(page.getByText('Removing…')).toBeVisible();
		await page.keyboard.press('Escape');
		await expect(app.remove).toBeEnabled();
		await expect(page.getByRole('alert')).toBeHidden();
		expect((await app.saveMask()).equals(before)).toBe(true);
		await app.remove.click();
		await app.finished();
		await other;
	} finally {
		await server.stop();
	}
});

test('an unreachable server is reported, and can be retried', async ({ page }) => {
	const server = await Server.start();
	const app = await painted(page, server.url);
	const before = await app.saveMask();
	await server.stop();
	await app.remove.click();
	await expect(page.getByRole('alert')).toContainText("Can't reach the server");
	expect((await app.saveMask()).equals(before)).toBe(true);
	const back = await Server.start([], {}, new URL(server.url).port);
	try {
		await app.button('Try again').click();
		await app.finished();
	} finally {
		await back.stop();
	}
});

test('the access key is asked for once per session', async ({ page }) => {
	const server = await Server.start([], { INPAINT_API_KEY: 'open sesame' });
	try {
		const app = await painted(page, server.url);
		const key = page.getByRole('textbox', { name: 'Access key' });
		await app.remove.click();
		await expect(page.getByRole('alert')).toContainText('This server needs an access key');
		await expect(key).toBeFocused();
		await key.fill('sesame');
		await page.keyboard.press('Enter');
		await expect(page.getByRole('alert')).toContainText("That access key isn't right.");
		await expect(key).toHaveValue('sesame');
		await expect(key).toBeFocused();
		await key.fill('open sesame');
		await app.button('Continue').click();
		await app.finished();

		await page.reload();
		await app.paint([0.3, 0.3], [0.6, 0.6]);
		await app.remove.click();
		await app.finished();
	} finally {
		await server.stop();
	}
});

test('a wrong key is not stored', async ({ page }) => {
	const server = await Server.start([], { INPAINT_API_KEY: 'open sesame' });
	try {
		const app = await painted(page, server.url);
		await app.remove.click();
		await page.getByRole('textbox', { name: 'Access key' }).fill('ключ');
		await app.button('Continue').click();
		await expect(page.getByRole('alert')).toContainText("That access key isn't right.");
		expect(await page.evaluate(() => sessionStorage.getItem('inpaint-key'))).toBeNull();
	} finally {
		await server.stop();
	}
});

test('an access key can have any characters', async ({ page }) => {
	const server = await Server.start([], { INPAINT_API_KEY: 'ключ 鍵 é' });
	try {
		const app = await painted(page, server.url);
		await app.remove.click();
		await page.getByRole('textbox', { name: 'Access key' }).fill('ключ 鍵 é');
		await app.button('Continue').click();
		await app.finished();
	} finally {
		await server.stop();
	}
});

test("the server's reason for a refusal is shown, and the paint is kept", async ({ page }) => {
	// A PNG without its last rows: Chromium shows the part there is, the server refuses it.
	const server = await Server.start();
	try {
		const app = await App.open(page, server.url);
		const png = withMissingRows(await photo(page, 200, 150, 'image/png'));
		await app.choose(png, 'half.png', 'image/png');
		await app.onRelease.click();
		await app.paint([0.3, 0.3], [0.6, 0.6]);
		const before = await app.saveMask();
		await app.remove.click();
		await expect(page.getByRole('alert')).toContainText("The server can't use this photo");
		await expect(page.getByRole('alert')).toContainText('The image cannot be decoded');
		expect((await app.saveMask()).equals(before)).toBe(true);
	} finally {
		await server.stop();
	}
});

test("a photo larger than the server's unreported limit is refused in plain language", async ({ page }) => {
	const server = await Server.start(['--max-pixels', '100000']);
	try {
		// As with TorchServe, which does not have this path.
		await page.route('**/v2', (route) => route.fulfill({ status: 404, body: '{}' }));
		const app = await painted(page, server.url);
		await app.remove.click();
		await expect(page.getByRole('alert')).toContainText('This photo is too large for the server');
		await expect(page.getByRole('alert')).toContainText('512x512');
	} finally {
		await server.stop();
	}
});

test('a stroke that could not be removed stays as paint', async ({ page, server }) => {
	const app = await App.open(page, server.url);
	await app.openSample();
	await page.route('**/predictions/**', (route) => route.abort());
	await app.paint([0.27, 0.04], [0.62, 0.82]);
	await expect(page.getByRole('alert')).toContainText("Can't reach the server");
	await page.unroute('**/predictions/**');
	// More paint can be added and erased before the next attempt.
	await app.paint([0.7, 0.1], [0.88, 0.3]);
	await app.button('Eraser').click();
	await app.paint([0.7, 0.1], [0.75, 0.15]);
	await app.remove.click();
	await app.finished();
	await expect(app.remove).toBeHidden();
	await expect(app.button('Brush')).toHaveAttribute('aria-pressed', 'true');
});

test('a result survives opening a wrong file', async ({ page, server }) => {
	const app = await App.open(page, server.url);
	await app.openSample();
	await app.paint([0.27, 0.04], [0.62, 0.82]);
	await app.finished();
	await app.drop([Buffer.from('not an image'), 'notes.txt', 'text/plain']);
	await expect(page.getByRole('alert')).toContainText("This file isn't an image");
	await app.button('Dismiss').click();
	await expect(app.download).toBeEnabled();
});
