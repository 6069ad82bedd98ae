import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { decodePng, encodePng } from '../../src/lib/image/png';
import { App } from './app';
import { expect, test, type Page } from './fixtures';
import { decode, holes, photo, withOrientation, type Samples } from './images';
import { Server } from './server';
import { StaticHost } from './static-host';

const BUILD = fileURLToPath(new URL('../../build', import.meta.url));
const FORMAT = { JPEG: 'ffd8ff', PNG: '89504e47' };

// Chromium logs that a plain web host has no API, and every request that fails without a connection.
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

/** Wait for a removal in WebAssembly, which may take a minute on a busy machine. */
async function removed(app: App): Promise<void> {
	await expect(app.progress).toHaveCount(0, { timeout: 300_000 });
	await app.finished();
}

/** A PNG photo from transparent on the left to opaque on the right. Its transparent pixels have colours, too. */
async function transparentPhoto(page: Page, width: number, height: number): Promise<Buffer> {
	const { data } = await decode(page, await photo(page, width, height, 'image/png'));
	for (let i = 0; i < width * height; i++)
		data[4 * i + 3] = Math.min(255, 2 * Math.floor((200 * (i % width)) / width));
	const png = await encodePng({ width, height, channels: 4, data: new Uint8Array(data) }, 'paeth');
	return Buffer.from(await png.arrayBuffer());
}

/** The samples of an RGB or RGBA file in PNG as they are stored: a canvas loses the colours of transparent pixels. */
async function stored(png: Buffer): Promise<Samples> {
	const { width, height, channels, data } = (await decodePng(new Uint8Array(png)))!.samples;
	const rgba = Buffer.alloc(4 * width * height, 255);
	for (let i = 0; i < width * height; i++) rgba.set(data.subarray(channels * i, channels * (i + 1)), 4 * i);
	return { width, height, data: rgba };
}

/** The file of the photo on the screen: for a JPEG, the lossless one that the next removal starts from. */
async function shownFile(app: App): Promise<Buffer> {
	const encoded = await app.picture.evaluate(async (image: HTMLImageElement) => {
		const bytes = new Uint8Array(await (await fetch(image.src)).arrayBuffer());
		return btoa(bytes.reduce((text, byte) => text + String.fromCharCode(byte), ''));
	});
	return Buffer.from(encoded, 'base64');
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

/** @param mask without it, the transparent part of the image is filled */
async function fillOnServer(server: Server, image: Buffer, mask: Buffer | null, type = 'image/png'): Promise<Buffer> {
	const form = new FormData();
	form.set('image', new Blob([new Uint8Array(image)]), 'image');
	if (mask) form.set('mask', new Blob([new Uint8Array(mask)]), 'mask');
	const headers = { Accept: type };
	const answer = await fetch(`${server.url}/predictions/inpaint`, { method: 'POST', body: form, headers });
	expect(answer.status).toBe(200);
	return Buffer.from(await answer.arrayBuffer());
}

interface Case {
	readonly name: string;
	readonly width: number;
	readonly height: number;
	readonly draw: string;
	readonly type?: string;
	readonly make?: (page: Page, width: number, height: number) => Promise<Buffer>;
}

const CASES: readonly Case[] = [
	{ name: 'of the model’s size', width: 178, height: 178, draw: 'M20 20 L160 150 M150 30 L40 165' },
	{ name: 'a portrait with a wide hole', width: 300, height: 340, draw: 'M100 110 L190 105 L200 220 L110 225 Z' },
	{ name: 'of odd size', width: 331, height: 287, draw: 'M20 260 L310 20' },
	{ name: 'with long scratches', width: 480, height: 300, draw: 'M20 30 L450 120 M40 280 L240 262' },
	{
		name: 'a JPEG that EXIF turns to the right',
		width: 180,
		height: 240,
		draw: 'M20 200 L160 30',
		type: 'image/jpeg',
		make: async (page, width, height) => withOrientation(await photo(page, height, width), 6)
	},
	{
		name: 'a JPEG that EXIF turns upside down',
		width: 241,
		height: 179,
		draw: 'M20 150 L210 30',
		type: 'image/jpeg',
		make: async (page, width, height) => withOrientation(await photo(page, width, height), 3)
	},
	{ name: 'with transparency', width: 240, height: 180, draw: 'M10 20 L230 160', make: transparentPhoto },
	{
		name: 'a WebP with transparency',
		width: 180,
		height: 301,
		draw: 'M10 20 L170 260',
		type: 'image/webp',
		make: transparentPhoto
	}
];

test('with threads, the result matches that of a server with the same model', async ({ page }) => {
	const folder = await mkdtemp(join(tmpdir(), 'model-'));
	const model = join(folder, 'model.onnx');
	const assets = join(BUILD, '_app/immutable/assets');
	const name = (await readdir(assets)).find((each) => each.startsWith('model.'))!;
	await writeFile(model, gunzipSync(await readFile(join(assets, name))));
	const server = await Server.start(['--model', `inpaint=${model}`]);
	try {
		await page.addInitScript(() => localStorage.setItem('inpaint-place', 'device'));
		const app = await App.open(page, server.url, { collecting: true });
		expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
		const predictions: string[] = [];
		page.on('request', (request) => {
			if (request.url().includes('/predictions/')) predictions.push(request.url());
		});
		for (const { name, width, height, draw, type = 'image/png', make } of CASES) {
			await test.step(name, async () => {
				const made = await (make ?? photo)(page, width, height, type);
				const mask = await drawnMask(page, width, height, draw);
				// A canvas cannot write lossless WebP, but the server can: an empty mask changes nothing.
				const nothing = await drawnMask(page, width, height, '');
				const image = type === 'image/webp' ? await fillOnServer(server, made, nothing, type) : made;
				await app.choose(image, 'photo', type);
				await app.picture.waitFor();
				await app.openMask(mask);
				await app.remove.click();
				await removed(app);
				const [here, there, holes, before] = await Promise.all([
					shownFile(app).then(stored),
					fillOnServer(server, image, mask).then(stored),
					decode(page, mask),
					type === 'image/jpeg' ? decode(page, image) : stored(made)
				]);
				expect(differences(before, here, holes).outside).toBe(0);
				expect(differences(before, here, holes).inside).toBeGreaterThan(0);
				const { inside, outside } = differences(there, here, holes);
				expect(outside).toBe(0);
				expect(inside).toBeLessThanOrEqual(1);
				await app.button('New photo').click();
			});
		}
		await test.step('the transparent part', async () => {
			const image = await transparentPhoto(page, 180, 150);
			await app.choose(image, 'photo', 'image/png');
			await app.choosing('Fill transparent parts');
			await removed(app);
			const here = await stored(await shownFile(app));
			const there = await stored(await fillOnServer(server, image, null));
			const before = await stored(image);
			const hole = Buffer.from(before.data.map((_, i) => (before.data[i | 3]! < 128 ? 255 : 0)));
			const { inside, outside } = differences(there, here, { ...here, data: hole });
			expect(outside).toBe(0);
			expect(inside).toBeLessThanOrEqual(1);
		});
		expect(predictions).toEqual([]);
	} finally {
		await server.stop();
		await rm(folder, { recursive: true });
	}
});

test('on a plain web host, the page works on this device, even without a connection', async ({
	page,
	context,
	server
}) => {
	const host = await StaticHost.of(BUILD, '/tools/inpaint/');
	const app = await App.open(page, host.url);
	await expect(page.getByText(/Photos stay on this device/)).toBeVisible();
	const loaded: string[] = [];
	context.on('request', (request) => {
		if (request.url().endsWith('.bin')) loaded.push(/(\w+)\.[\w-]+\.bin/.exec(request.url())![1]!);
	});
	const panel = page.getByRole('group', { name: 'Find marks' });
	const found = async () => {
		await expect(page.getByRole('status')).toHaveText(/^Marks found/, { timeout: 300_000 });
		return decode(page, await app.saveMask());
	};
	const foundByServer = async (sensitivity: number) => {
		const form = new FormData();
		form.set('image', new Blob([new Uint8Array(await shownFile(app))]), 'image');
		form.set('sensitivity', String(sensitivity));
		const headers = { Accept: 'image/png' };
		const answer = await fetch(`${server.url}/masks/marks`, { method: 'POST', body: form, headers });
		return decode(page, Buffer.from(await answer.arrayBuffer()));
	};
	/** The number of pixels that only one of two masks contains. */
	const different = (one: Samples, other: Samples) => {
		expect([one.width, one.height]).toEqual([other.width, other.height]);
		return one.data.filter((value, i) => i % 4 === 0 && value >= 128 !== other.data[i]! >= 128).length;
	};
	await page.waitForFunction(() => navigator.serviceWorker.controller !== null);
	await app.openSample();
	await context.setOffline(true);
	await app.button('Find marks').click();
	await expect(page.getByRole('alert')).toContainText("Can't download the model");
	await context.setOffline(false);
	loaded.length = 0;
	await app.button('Try again').click();
	// The marks match a server's.
	const [here, there] = [await found(), await foundByServer(0.5)];
	expect(holes(there)).toBeGreaterThan(1000);
	expect(different(here, there)).toBeLessThan(holes(there) / 100);
	await panel.getByRole('slider', { name: 'Sensitivity' }).fill('20');
	await expect.poll(async () => holes(await decode(page, await app.saveMask()))).toBeGreaterThan(holes(here));
	const more = await foundByServer(1);
	expect(different(await found(), more)).toBeLessThan(holes(more) / 100);
	expect(loaded.sort()).toEqual(['marks', 'runtime']);

	await app.drop([await photo(page, 400, 300), 'photo.jpg', 'image/jpeg']);
	await expect(app.picture).toHaveJSProperty('naturalWidth', 400);
	await app.paint([0.2, 0.2], [0.4, 0.3]);
	await removed(app);
	expect(loaded.sort()).toEqual(['marks', 'model', 'runtime']);
	const { name, file } = await app.saveResult();
	expect([name, file.toString('hex', 0, 3)]).toEqual(['photo-filled.jpg', FORMAT.JPEG]);

	await host.stop();
	await context.setOffline(true);
	// The work was stored, with the JPEG to download.
	await app.reload();
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
	await page.keyboard.press('Escape');
	await app.button('New photo').click();
	await app.button('Continue with astronaut.webp').click();
	await app.picture.waitFor();
	await app.button('Undo').click();
	await app.button('Find marks').click();
	await page.keyboard.press('Escape');
	await expect(panel).toBeHidden();
	await expect(page.getByRole('alert')).toBeHidden();
	await app.button('Find marks').click();
	expect(different(await found(), here)).toBe(0);
});

test('this device takes over from a server that does not answer, or is chosen in the menu', async ({
	page,
	recorder
}) => {
	const app = await App.open(page, recorder.url);
	await app.openSample();
	await page.waitForFunction(() => navigator.serviceWorker.controller !== null);
	await recorder.stop();
	await app.paint([0.27, 0.04], [0.35, 0.2]);
	await expect(page.getByRole('alert')).toContainText("Can't reach the server");
	await app.button('Use this device instead').click();
	// Nothing was downloaded while there was a connection.
	await expect(page.getByRole('alert')).toContainText("Can't download the model");
	await recorder.start();
	await app.button('Try again').click();
	await removed(app);

	await app.reload();
	const requests: string[] = [];
	page.on('request', (request) => requests.push(new URL(request.url()).pathname));
	await app.button('More').click();
	await expect(app.button('On the server')).toHaveAttribute('aria-pressed', 'true');
	await app.button('On this device').click();
	await expect(page.getByRole('status')).toHaveText(/Photos now stay on this device/);
	await app.onRelease.click();
	await app.paint([0.7, 0.1], [0.8, 0.2]);
	// Far more work than what follows, and cancelled long before it is done.
	for (const x of [0.1, 0.3, 0.5, 0.7, 0.9]) await app.paint([x, 0.05], [x, 0.95]);
	await app.remove.click();
	await expect(page.getByText(/^Removing…/)).toBeVisible({ timeout: 300_000 });
	await page.keyboard.press('Escape');
	await expect(app.progress).toHaveCount(0);
	await expect(page.getByRole('alert')).toBeHidden();
	for (let i = 0; i < 5; i++) await page.keyboard.press('Control+z');
	await app.remove.click();
	await removed(app);
	await expect(app.remove).toBeDisabled();
	// Nothing was sent, or downloaded again.
	expect(requests.filter((path) => path.startsWith('/predictions') || path.endsWith('.bin'))).toEqual([]);
	expect(recorder.forms).toEqual([]);
	// The choice is remembered.
	await app.reload();
	await app.button('More').click();
	await expect(app.button('On this device')).toHaveAttribute('aria-pressed', 'true');
	await app.button('On the server').click();
	await app.paint([0.3, 0.3], [0.4, 0.4]);
	await Promise.all([page.waitForRequest('**/predictions/inpaint'), app.remove.click()]);
	await app.finished();
});

test('the page can be installed', async ({ page, server }) => {
	const app = await App.open(page, server.url);
	await app.page.waitForFunction(() => navigator.serviceWorker.controller !== null);
	const session = await page.context().newCDPSession(page);
	const { url, errors } = await session.send('Page.getAppManifest');
	expect(url).toBe(`${server.url}/_app/manifest.webmanifest`);
	expect(errors).toEqual([]);
	const { installabilityErrors } = await session.send('Page.getInstallabilityErrors');
	// Tests run in private windows.
	expect(installabilityErrors.map(({ errorId }) => errorId).filter((id) => id !== 'in-incognito')).toEqual([]);
});
