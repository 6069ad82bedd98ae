import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Page } from '@playwright/test';
import { App } from '../browser/app';
import { test } from '../browser/fixtures';
import { ROOT } from '../browser/server';

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
	const app = await App.open(page, url);
	await app.openSampleToCollect();
	await page.getByRole('slider', { name: 'Brush size' }).fill(brush);
	for (const scratch of SCRATCHES.slice(0, strokes)) await app.paint(...scratch);
	return app;
}

async function filled(page: Page, url: string, brush: string): Promise<App> {
	const app = await painted(page, url, brush);
	await app.remove.click();
	await app.finished();
	await app.button('Compare').click();
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

test.describe('phone', () => {
	test.use({ viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 });

	test('docs/page-phone.webp', async ({ page, context, server }) => {
		await page.emulateMedia({ reducedMotion: 'reduce', colorScheme: 'light' });
		await page.goto(server.url);
		await page.locator('img.before').evaluate((image: HTMLImageElement) => image.decode());
		const shots = [await page.screenshot()];
		await painted(page, server.url, '22', 3);
		shots.push(await page.screenshot());
		// A new tab without settings: the first one would go on with what it has painted.
		await page.evaluate(() => localStorage.clear());
		const dark = await context.newPage();
		await dark.emulateMedia({ reducedMotion: 'reduce', colorScheme: 'dark' });
		await filled(dark, server.url, '22');
		shots.push(await dark.screenshot());
		await write(await context.newPage(), 'page-phone.webp', shots, 0.75);
	});
});
