import { readFile } from 'node:fs/promises';
import type { CDPSession } from '@playwright/test';
import { App } from '../browser/app';
import { test, type Page } from '../browser/fixtures';

const WIDTH = 4000;
const HEIGHT = 3000;
const REMOVALS = 20;
const KILOBYTES_PER_MB = 1000;

/** A JPEG photo of 12 megapixels, about as large as a phone's: a gradient with noise. */
async function largePhoto(page: Page): Promise<Buffer> {
	const encoded = await page.evaluate(
		async ({ width, height }) => {
			const canvas = new OffscreenCanvas(width, height);
			const context = canvas.getContext('2d')!;
			const rows = context.createImageData(width, height);
			let noise = 1;
			for (let i = 0; i < rows.data.length; i += 4) {
				noise = (Math.imul(noise, 1664525) + 1013904223) >>> 0;
				const [x, y] = [(i / 4) % width, Math.floor(i / 4 / width)];
				const light = (noise >>> 28) - 8;
				rows.data.set([(200 * x) / width + light, (200 * y) / height + light, 120 + light, 255], i);
			}
			context.putImageData(rows, 0, 0);
			const file = await canvas.convertToBlob({ type: 'image/jpeg', quality: 0.9 });
			const reader = new FileReader();
			await new Promise((resolve) => {
				reader.onload = resolve;
				reader.readAsDataURL(file);
			});
			return (reader.result as string).split(',')[1]!;
		},
		{ width: WIDTH, height: HEIGHT }
	);
	return Buffer.from(encoded, 'base64');
}

/** The proportional set size of the browser's processes in MB, by type, and their sum. */
async function memory(session: CDPSession): Promise<Record<string, number>> {
	const { processInfo } = await session.send('SystemInfo.getProcessInfo');
	const sizes: Record<string, number> = { all: 0 };
	for (const { type, id } of processInfo) {
		const text = await readFile(`/proc/${id}/smaps_rollup`, 'utf8').catch(() => '');
		const megabytes = Number(/^Pss:\s+(\d+)/m.exec(text)?.[1] ?? 0) / KILOBYTES_PER_MB;
		sizes[type] = (sizes[type] ?? 0) + megabytes;
		sizes.all! += megabytes;
	}
	return Object.fromEntries(Object.entries(sizes).map(([name, size]) => [name, Math.round(size)]));
}

test.beforeEach(async ({ page, context, server }) => {
	const maker = await context.newPage();
	const file = await largePhoto(maker);
	await maker.close();
	console.log(`the photo: ${(file.length / 1e6).toFixed(1)} MB`);
	const app = await App.open(page, server.url);
	await app.choose(file, 'large.jpg');
	await app.picture.waitFor();
});

test('memory over removals', async ({ page, browser }) => {
	const app = App.on(page);
	const session = await browser.newBrowserCDPSession();
	console.log('opened:', JSON.stringify(await memory(session)));
	for (let number = 0; number < REMOVALS; number++) {
		const [x, y] = [0.1 + 0.15 * (number % 5), 0.2 + 0.15 * Math.floor(number / 5)];
		await app.paint([x, y], [x + 0.05, y + 0.05]);
		await app.finished();
		await app.stored();
		console.log(`${number + 1} removals:`, JSON.stringify(await memory(session)));
	}
	// The browser keeps decoded photos until it needs the memory for something else.
	const pageSession = await page.context().newCDPSession(page);
	await pageSession.send('Memory.simulatePressureNotification', { level: 'critical' });
	await page.waitForTimeout(5000);
	console.log('under memory pressure:', JSON.stringify(await memory(session)));
});

test('frame times while painting', async ({ page }) => {
	const app = App.on(page);
	await app.onRelease.click();
	await page.evaluate(() => {
		const times: number[] = [];
		const record = (time: number) => {
			times.push(time);
			requestAnimationFrame(record);
		};
		requestAnimationFrame(record);
		Object.assign(window, { times });
	});
	const at = await app.at([0.1, 0.5]);
	const width = (await app.picture.boundingBox())!.width;
	await page.mouse.move(at.x, at.y);
	await page.mouse.down();
	await page.evaluate(() => ((window as unknown as { times: number[] }).times.length = 0));
	for (let i = 0; i < 200; i++) await page.mouse.move(at.x + (0.8 * width * i) / 200, at.y + 60 * Math.sin(i / 8));
	const times = await page.evaluate(() => (window as unknown as { times: number[] }).times);
	await page.mouse.up();
	const between = times.slice(1).map((time, i) => time - times[i]!);
	const sorted = between.sort((one, other) => one - other);
	const quantile = (part: number) => sorted[Math.floor(part * (sorted.length - 1))]!.toFixed(1);
	console.log(`${sorted.length} frames: median ${quantile(0.5)} ms, 95th percentile ${quantile(0.95)} ms`);
});
