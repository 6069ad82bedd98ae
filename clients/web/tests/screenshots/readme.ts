import { execFile } from 'node:child_process';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Page } from '@playwright/test';
import { App } from '../browser/app';
import { expect, test } from '../browser/fixtures';
import { PYTHON, ROOT } from '../browser/server';

/** The sample's scratches, as fractions of its sides. */
const SCRATCHES = [
	[
		[136, 18],
		[188, 84],
		[216, 128],
		[246, 182],
		[262, 240],
		[300, 330],
		[316, 420]
	],
	[
		[300, 70],
		[262, 104],
		[226, 150],
		[190, 176],
		[120, 196]
	],
	[
		[20, 372],
		[110, 338],
		[190, 346],
		[282, 316],
		[352, 322]
	],
	[
		[336, 30],
		[384, 96],
		[444, 150],
		[470, 236]
	]
].map((scratch) => scratch.map(([x, y]) => [x! / 512, y! / 512] as const));

async function painted(page: Page, url: string, brush: string, strokes = SCRATCHES.length): Promise<App> {
	const app = await App.open(page, url, { collecting: true });
	await app.openSample();
	await page.getByRole('slider', { name: 'Brush size' }).fill(brush);
	for (const scratch of SCRATCHES.slice(0, strokes)) await app.paint(...scratch);
	return app;
}

async function filled(page: Page, url: string, brush: string): Promise<App> {
	const app = await painted(page, url, brush);
	await app.remove.click();
	await app.finished();
	await app.compare();
	await page.mouse.move(1, 1);
	return app;
}

/** Combine screenshots side by side into one WebP image in docs/. */
async function write(page: Page, name: string, shots: Buffer[], scale: number): Promise<void> {
	const encoded = await page.evaluate(
		async ({ shots, scale, gap }) => {
			const pictures = await Promise.all(
				shots.map(async (shot) =>
					createImageBitmap(await (await fetch(`data:image/png;base64,${shot}`)).blob())
				)
			);
			const width = pictures.reduce((sum, picture) => sum + picture.width * scale + gap, -gap);
			const canvas = new OffscreenCanvas(width, pictures[0]!.height * scale);
			const context = canvas.getContext('2d')!;
			context.imageSmoothingQuality = 'high';
			let left = 0;
			for (const picture of pictures) {
				const size = [picture.width * scale, picture.height * scale] as const;
				context.save();
				context.beginPath();
				context.roundRect(left, 0, ...size, 14);
				context.clip();
				context.drawImage(picture, left, 0, ...size);
				context.restore();
				context.strokeStyle = '#8886';
				context.beginPath();
				context.roundRect(left + 0.5, 0.5, size[0] - 1, size[1] - 1, 14);
				context.stroke();
				left += size[0] + gap;
			}
			const blob = await canvas.convertToBlob({ type: 'image/webp', quality: 0.84 });
			const bytes = new Uint8Array(await blob.arrayBuffer());
			return btoa(bytes.reduce((text, byte) => text + String.fromCharCode(byte), ''));
		},
		{ shots: shots.map((shot) => shot.toString('base64')), scale, gap: 24 }
	);
	await writeFile(join(ROOT, 'docs', name), Buffer.from(encoded, 'base64'));
}

test.describe('desktop', () => {
	test.use({ viewport: { width: 1280, height: 800 }, colorScheme: 'light' });

	test('docs/page-desktop.webp', async ({ page, context, server }) => {
		await filled(page, server.url, '30');
		const result = await page.screenshot();
		await write(await context.newPage(), 'page-desktop.webp', [result], 1);
	});
});

/** The points of a line at most `step` apart, in fractions of the photo's sides. */
function along(points: readonly (readonly [number, number])[], step: number): (readonly [number, number])[] {
	return points.flatMap(([x, y], i) => {
		const [fromX, fromY] = points[i - 1] ?? [x, y];
		const count = Math.max(1, Math.ceil(Math.hypot(x - fromX, y - fromY) / step));
		return Array.from({ length: count }, (_, k) => {
			const t = (k + 1) / count;
			return [fromX + t * (x - fromX), fromY + t * (y - fromY)] as const;
		});
	});
}

test.describe('moving picture', () => {
	test.use({ viewport: { width: 760, height: 620 }, colorScheme: 'light' });

	const MAX_BYTES = 1_500_000;

	test('docs/removal.webp', async ({ page, recorder }) => {
		const folder = await mkdtemp(join(tmpdir(), 'frames-'));
		let frames = 0;
		const show = async (milliseconds: number) => {
			const name = `${String(frames++).padStart(3, '0')}-${milliseconds}.png`;
			await page.screenshot({ path: join(folder, name) });
		};
		await page.emulateMedia({ reducedMotion: 'reduce' });
		const app = await App.open(page, recorder.url);
		await app.openSample();
		await page.getByRole('slider', { name: 'Brush size' }).fill('30');
		await page.mouse.move(1, 1);
		await show(1000);
		for (const scratch of SCRATCHES) {
			const places = await Promise.all(along(scratch, 0.07).map((point) => app.at(point)));
			await page.mouse.move(places[0]!.x, places[0]!.y);
			await show(200);
			await page.mouse.down();
			for (const { x, y } of places) {
				await page.mouse.move(x, y);
				await show(50);
			}
			// Held back, so that the removal can be seen in progress.
			recorder.pause();
			await page.mouse.up();
			await app.progress.waitFor();
			await show(300);
			recorder.resume();
			await app.finished();
			await show(400);
		}
		await page.mouse.move(1, 1);
		await show(2500);
		const output = join(ROOT, 'docs', 'removal.webp');
		await promisify(execFile)(PYTHON, [join(ROOT, 'clients/web/scripts/animate.py'), folder, output]);
		await rm(folder, { recursive: true });
		expect((await stat(output)).size).toBeLessThan(MAX_BYTES);
	});
});

test.describe('phone', () => {
	test.use({ viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 });

	test('docs/page-phone.webp', async ({ page, context, server }) => {
		await page.emulateMedia({ reducedMotion: 'reduce', colorScheme: 'light' });
		await page.goto(server.url);
		await page.locator('img.before').evaluate((image: HTMLImageElement) => image.decode());
		const shots = [await page.screenshot()];
		await painted(page, server.url, '22', 3);
		shots.push(await page.screenshot());
		// A new tab without settings: the first one would continue with its painting.
		await page.evaluate(() => localStorage.clear());
		const dark = await context.newPage();
		await dark.emulateMedia({ reducedMotion: 'reduce', colorScheme: 'dark' });
		await filled(dark, server.url, '22');
		shots.push(await dark.screenshot());
		await write(await context.newPage(), 'page-phone.webp', shots, 0.75);
	});
});
