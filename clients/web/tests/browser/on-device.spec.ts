import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { App } from './app';
import { expect, test, type Page } from './fixtures';
import { decode, photo, type Samples } from './images';
import { Server } from './server';
import { StaticHost } from './static-host';

const BUILD = fileURLToPath(new URL('../../build', import.meta.url));
const FORMAT = { JPEG: 'ffd8ff', PNG: '89504e47' };

// Chromium logs that a plain web host has no API, and every request without a connection.
test.use({ allowedMessages: [/Failed to load resource/] });
test.setTimeout(600_000);

/** A mask drawn in the browser, white on black. */
async function drawnMask(page: Page, width: number, height: number, draw: string): Promise<Buffer> {
	const encoded = await page.evaluate(
		async ({ width, height, draw }) => {
			const canvas = new OffscreenCanvas(width, height);
			const context = canvas.getContext('2d')!;
			context.fillRect(0, 0, width, height);
			context.fillStyle = context.strokeStyle = '#fff';
			const path = new Path2D(draw);
			context.lineWidth = 5;
			if (draw.endsWith('Z')) context.fill(path);
			else context.stroke(path);
			const bytes = new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer());
			return btoa(bytes.reduce((text, byte) => text + String.fromCharCode(byte), ''));
		},
		{ width, height, draw }
	);
	return Buffer.from(encoded, 'base64');
}

/** Wait for a removal in WebAssembly, with patience: a busy machine may take a minute for it. */
async function removed(app: App): Promise<void> {
	await expect(app.progress).toHaveCount(0, { timeout: 300_000 });
	await app.finished();
}

/** The largest difference of any sample, inside and outside the hole. */
function differences(one: Samples, other: Samples, mask: Samples): { inside: number; outside: number } {
	expect([other.width, other.height]).toEqual([one.width, one.height]);
	const most = { inside: 0, outside: 0 };
	for (const [i, value] of one.data.entries()) {
		const where = mask.data[i - (i % 4)]! >= 128 ? 'inside' : 'outside';
		most[where] = Math.max(most[where], Math.abs(value - other.data[i]!));
	}
	return most;
}

async function fillOnServer(server: Server, image: Buffer, mask: Buffer): Promise<Buffer> {
	const form = new FormData();
	form.set('image', new Blob([new Uint8Array(image)]), 'image');
	form.set('mask', new Blob([new Uint8Array(mask)]), 'mask');
	const headers = { Accept: 'image/png' };
	const answer = await fetch(`${server.url}/predictions/inpaint`, { method: 'POST', body: form, headers });
	expect(answer.status).toBe(200);
	return Buffer.from(await answer.arrayBuffer());
}

const CASES = [
	{ name: 'of the model’s size', width: 178, height: 178, draw: 'M20 20 L160 150 M150 30 L40 165' },
	{ name: 'a portrait with a wide hole', width: 452, height: 600, draw: 'M160 200 L300 190 L320 330 L170 340 Z' },
	{ name: 'of odd size', width: 331, height: 287, draw: 'M20 260 L310 20' },
	{ name: 'with long scratches', width: 900, height: 640, draw: 'M40 60 L820 330 M100 600 L500 580' }
];

test('the result is that of a server with the same model', async ({ page }) => {
	const folder = await mkdtemp(join(tmpdir(), 'model-'));
	const model = join(folder, 'model.onnx');
	const assets = join(BUILD, '_app/immutable/assets');
	const name = (await readdir(assets)).find((each) => each.startsWith('model.'))!;
	await writeFile(model, gunzipSync(await readFile(join(assets, name))));
	const server = await Server.start(['--model', `inpaint=${model}`]);
	try {
		await page.addInitScript(() => localStorage.setItem('inpaint-place', 'device'));
		await page.addInitScript(() => localStorage.setItem('inpaint-remove-on-release', 'no'));
		const app = await App.open(page, server.url);
		const predictions: string[] = [];
		page.on('request', (request) => {
			if (request.url().includes('/predictions/')) predictions.push(request.url());
		});
		for (const { name, width, height, draw } of CASES) {
			await test.step(name, async () => {
				const image = await photo(page, width, height, 'image/png');
				const mask = await drawnMask(page, width, height, draw);
				await app.choose(image, 'photo.png', 'image/png');
				await app.picture.waitFor();
				await app.openMask(mask);
				await app.remove.click();
				await removed(app);
				const { file } = await app.saveResult();
				const [here, there, holes, before] = await Promise.all(
					[file, await fillOnServer(server, image, mask), mask, image].map((each) => decode(page, each))
				);
				expect(differences(before!, here!, holes!).outside).toBe(0);
				expect(differences(before!, here!, holes!).inside).toBeGreaterThan(0);
				const { inside, outside } = differences(there!, here!, holes!);
				expect(outside).toBe(0);
				expect(inside).toBeLessThanOrEqual(1);
				await app.button('New photo').click();
			});
		}
		expect(predictions).toEqual([]);
	} finally {
		await server.stop();
		await rm(folder, { recursive: true });
	}
});

test('the page of a plain web host removes on this device, and without a connection, too', async ({
	page,
	context
}) => {
	const host = await StaticHost.of(BUILD, '/tools/inpaint/');
	const app = await App.open(page, host.url);
	await expect(page.getByText(/Photos stay on this device/)).toBeVisible();
	await page.waitForFunction(() => navigator.serviceWorker.controller !== null);
	await app.choose(await photo(page, 400, 300), 'photo.jpg');
	await app.paint([0.2, 0.2], [0.4, 0.3]);
	await removed(app);
	const { name, file } = await app.saveResult();
	expect([name, file.toString('hex', 0, 3)]).toEqual(['photo-filled.jpg', FORMAT.JPEG]);
	await host.stop();
	await context.setOffline(true);
	// The work was stored, with the JPEG to download.
	await page.reload();
	await app.picture.waitFor();
	expect((await app.saveResult()).file.equals(file)).toBe(true);
	await app.paint([0.5, 0.4], [0.7, 0.6]);
	await removed(app);
	const again = await app.saveResult();
	expect(again.file.toString('hex', 0, 3)).toBe(FORMAT.JPEG);
	expect(again.file.equals(file)).toBe(false);
	await app.button('More').click();
	await expect(app.button('On this device')).toHaveAttribute('aria-pressed', 'true');
	await expect(app.button('On the server')).toHaveCount(0);
});

test('the place is chosen in the menu and remembered, and the page stays responsive', async ({ page, server }) => {
	const app = await App.open(page, server.url);
	await app.openSampleToCollect();
	const requests: string[] = [];
	page.on('request', (request) => requests.push(new URL(request.url()).pathname));
	await app.button('More').click();
	await expect(app.button('On the server')).toHaveAttribute('aria-pressed', 'true');
	await app.button('On this device').click();
	await expect(page.getByRole('status')).toHaveText(/Photos stay on this device now/);
	expect(requests.filter((path) => path.endsWith('.bin'))).toEqual([]);
	await app.paint([0.05, 0.05], [0.95, 0.95]);
	await app.paint([0.95, 0.05], [0.05, 0.95]);
	await app.remove.click();
	await expect(page.getByText(/^Removing…/)).toBeVisible({ timeout: 300_000 });
	await page.keyboard.press('Escape');
	await expect(app.progress).toHaveCount(0);
	await expect(page.getByRole('alert')).toBeHidden();
	// The next removal does not wait for the cancelled one, nor for another download.
	await page.keyboard.press('Control+z');
	await app.remove.click();
	await removed(app);
	expect(requests.filter((path) => path.endsWith('.bin'))).toHaveLength(2);
	expect(requests).not.toContain('/predictions/inpaint');
	await page.reload();
	await app.button('More').click();
	await expect(app.button('On this device')).toHaveAttribute('aria-pressed', 'true');
	await app.button('On the server').click();
	await app.paint([0.3, 0.3], [0.4, 0.4]);
	await Promise.all([page.waitForRequest('**/predictions/inpaint'), app.remove.click()]);
	await app.finished();
});

test('without an answer from the server, this device can take over', async ({ page }) => {
	const server = await Server.start();
	const app = await App.open(page, server.url);
	await app.openSample();
	await page.waitForFunction(() => navigator.serviceWorker.controller !== null);
	await server.stop();
	await app.paint([0.27, 0.04], [0.35, 0.2]);
	await expect(page.getByRole('alert')).toContainText("Can't reach the server");
	await app.button('Remove on this device instead').click();
	// Nothing was downloaded while there was a connection.
	await expect(page.getByRole('alert')).toContainText("Can't download the model");
	const back = await Server.start([], {}, new URL(server.url).port);
	try {
		await app.button('Try again').click();
		await removed(app);
	} finally {
		await back.stop();
	}
});

test('it can be installed', async ({ page, server }) => {
	const app = await App.open(page, server.url);
	await app.page.waitForFunction(() => navigator.serviceWorker.controller !== null);
	const session = await page.context().newCDPSession(page);
	const { url, errors } = await session.send('Page.getAppManifest');
	expect(url).toBe(`${server.url}/_app/manifest.webmanifest`);
	expect(errors).toEqual([]);
	const { installabilityErrors } = await session.send('Page.getInstallabilityErrors');
	// A window of a test is a private one.
	expect(installabilityErrors.map(({ errorId }) => errorId).filter((id) => id !== 'in-incognito')).toEqual([]);
});
