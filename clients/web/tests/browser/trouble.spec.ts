import { App } from './app';
import { expect, test, type Page } from './fixtures';
import { photo } from './pictures';
import { Server } from './server';

// Chromium itself writes every answer that is an error into the console.
const ANSWERS = /Failed to load resource/;
test.use({ allowedComplaints: [ANSWERS] });

async function painted(page: Page, url: string): Promise<App> {
	const app = await App.open(page, url);
	await app.openSample();
	await app.paint([0.27, 0.04], [0.62, 0.82]);
	return app;
}

/** A request that keeps a server busy for seconds, or for long: a photo with a grid painted all over. */
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

/** Keep a server busy; answers the status, once all has been done. */
async function keepBusy(server: Server, work: FormData): Promise<number> {
	const answer = await fetch(`${server.url}/predictions/inpaint`, { method: 'POST', body: work });
	await answer.arrayBuffer();
	return answer.status;
}

async function running(url: string): Promise<string | undefined> {
	const metrics = await (await fetch(`${url}/metrics`)).text();
	return /^inpaint_predictions_running (\d+)/m.exec(metrics)?.[1];
}

test.describe('a server that is full', () => {
	let server: Server;
	let app: App;

	test.beforeEach(async ({ page }) => {
		server = await Server.start(['--concurrency', '1', '--queue-size', '0', '--threads', '1']);
		app = await painted(page, server.url);
	});

	test('is waited for, and asked again', async ({ page }) => {
		const other = keepBusy(server, await hardWork(page, 1200));
		await expect.poll(() => running(server.url), { intervals: [20] }).toBe('1');
		await app.fill.click();
		await expect(page.getByText(/The server is busy. Trying again in \d+ s/)).toBeVisible();
		await expect(page.getByRole('status')).toHaveText('The server is busy. It will be asked again.');
		await app.download.waitFor({ timeout: 150_000 });
		expect(await other).toBe(200);
		await server.stop();
	});

	test('need not be waited for, and the painting stays', async ({ page }) => {
		const before = await app.saveMask();
		const other = keepBusy(server, await hardWork(page, 4000)).catch(() => 'cut off');
		await expect.poll(() => running(server.url), { intervals: [20] }).toBe('1');
		await app.fill.click();
		await page.getByText(/Trying again/).waitFor();
		await app.button('Cancel').click();
		await expect(app.fill).toBeEnabled();
		expect((await app.saveMask()).equals(before)).toBe(true);
		await server.stop('SIGKILL');
		await other;
	});
});

test('a fill that takes long can be cancelled, and the painting stays', async ({ page }) => {
	const server = await Server.start(['--concurrency', '1', '--threads', '1']);
	try {
		const app = await painted(page, server.url);
		const before = await app.saveMask();
		const other = keepBusy(server, await hardWork(page, 1200));
		await expect.poll(() => running(server.url), { intervals: [20] }).toBe('1');
		await app.fill.click();
		await expect(page.getByText('Filling…')).toBeVisible();
		await page.keyboard.press('Escape');
		await expect(app.fill).toBeEnabled();
		await expect(page.getByRole('alert')).toBeHidden();
		expect((await app.saveMask()).equals(before)).toBe(true);
		await app.fill.click();
		await app.download.waitFor();
		await other;
	} finally {
		await server.stop();
	}
});

test('a server that has gone away is said so, and tried again when it is back', async ({ page }) => {
	const server = await Server.start();
	const app = await painted(page, server.url);
	const before = await app.saveMask();
	await server.stop();
	await app.fill.click();
	await expect(page.getByRole('alert')).toContainText('The server cannot be reached');
	expect((await app.saveMask()).equals(before)).toBe(true);
	const back = await Server.start([], {}, new URL(server.url).port);
	try {
		await app.button('Try again').click();
		await app.download.waitFor();
	} finally {
		await back.stop();
	}
});

test('a server with a key asks for it, once a session', async ({ page }) => {
	const server = await Server.start([], { INPAINT_API_KEY: 'open sesame' });
	try {
		const app = await painted(page, server.url);
		const key = page.getByRole('textbox', { name: 'Key' });
		await app.fill.click();
		await expect(page.getByRole('alert')).toContainText('This server asks for a key');
		await expect(key).toBeFocused();
		await key.fill('sesame');
		await page.keyboard.press('Enter');
		await expect(page.getByRole('alert')).toContainText('This server asks for a key');
		await key.fill('open sesame');
		await app.button('Go on').click();
		await app.download.waitFor();

		await page.reload();
		await app.openSample();
		await app.paint([0.3, 0.3], [0.6, 0.6]);
		await app.fill.click();
		await app.download.waitFor();
	} finally {
		await server.stop();
	}
});

test('what the server refuses is told in its words, and the painting stays', async ({ page }) => {
	// A file whose end is missing: Chromium shows what there is of it, the server takes whole ones only.
	const server = await Server.start();
	try {
		const app = await App.open(page, server.url);
		const jpeg = await photo(page, 800, 600);
		await app.choose(jpeg.subarray(0, jpeg.length - 400), 'half.jpg');
		await app.picture.waitFor();
		await app.paint([0.3, 0.3], [0.6, 0.6]);
		const before = await app.saveMask();
		await app.fill.click();
		await expect(page.getByRole('alert')).toContainText('The server cannot use this photo');
		await expect(page.getByRole('alert')).toContainText('The image cannot be decoded');
		expect((await app.saveMask()).equals(before)).toBe(true);
	} finally {
		await server.stop();
	}
});

test('a photo that is too large for a server that tells no limits is refused in plain words', async ({ page }) => {
	const server = await Server.start(['--max-pixels', '100000']);
	try {
		// As on TorchServe, which has no such address.
		await page.route('**/v2', (route) => route.fulfill({ status: 404, body: '{}' }));
		const app = await painted(page, server.url);
		await app.fill.click();
		await expect(page.getByRole('alert')).toContainText('This photo is too large for the server');
		await expect(page.getByRole('alert')).toContainText('512x512');
	} finally {
		await server.stop();
	}
});

test('a result is not lost to a wrong file, nor without a question to a closed tab', async ({ page, server }) => {
	const app = await painted(page, server.url);
	await app.fill.click();
	await app.download.waitFor();
	await app.choose(Buffer.from('no picture'), 'notes.txt');
	await expect(page.getByRole('alert')).toContainText('This file is no picture');
	await app.button('Dismiss').click();
	await expect(app.download).toBeVisible();

	const question = page.waitForEvent('dialog');
	await page.close({ runBeforeUnload: true });
	expect((await question).type()).toBe('beforeunload');
	await (await question).dismiss();
	await app.saveResult();
	await Promise.all([page.waitForEvent('close'), page.close({ runBeforeUnload: true })]);
});
