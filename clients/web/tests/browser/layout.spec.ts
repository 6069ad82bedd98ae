import { App } from './app';
import { expect, test, type Page } from './fixtures';
import { Server } from './server';

/** The part of an element's box that is in the viewport, as a fraction of the box. */
async function visibleFraction(page: Page, name: string | RegExp): Promise<number> {
	const box = (await page.getByRole('button', { name, exact: true }).boundingBox())!;
	const { width, height } = page.viewportSize()!;
	const visible = (start: number, length: number, room: number) =>
		Math.max(0, Math.min(start + length, room) - Math.max(start, 0)) / length;
	return visible(box.x, box.width, width) * visible(box.y, box.height, height);
}

for (const [screen, viewport] of [
	['a phone in landscape', { width: 740, height: 360 }],
	['a small phone in landscape', { width: 568, height: 320 }],
	['a desktop at 200% zoom', { width: 640, height: 400 }]
] as const) {
	test.describe(`on ${screen}`, () => {
		test.use({ viewport });

		test('the sample is visible, and the photo has most of the screen', async ({ page, server }) => {
			const app = await App.open(page, server.url);
			expect(await visibleFraction(page, /Try this sample/)).toBe(1);
			expect(await visibleFraction(page, 'Keyboard shortcuts')).toBe(1);
			expect(await clipped(page)).toEqual([]);
			await app.openSample();
			expect((await app.stage.boundingBox())!.height).toBeGreaterThan(0.55 * viewport.height);
			expect(await clipped(page)).toEqual([]);
			await app.paint([0.3, 0.3], [0.6, 0.6]);
			await app.finished();
			await app.onRelease.click();
			expect((await page.getByRole('main').boundingBox())!.y).toBeLessThan(60);
			expect(await visibleFraction(page, 'Remove')).toBe(1);
			expect(await visibleFraction(page, 'Compare')).toBe(1);
			await expect(app.download).toBeInViewport({ ratio: 1 });
			expect(await clipped(page)).toEqual([]);
			await expectNoOverflow(page, viewport);

			await app.button('Compare').click();
			expect(await visibleFraction(page, 'Side by side')).toBe(1);
			expect(await clipped(page)).toEqual([]);
			await expectNoOverflow(page, viewport);
		});
	});
}

/** The buttons that are cut off at the left or the right, by overlapping text as well as by the viewport. */
async function clipped(page: Page): Promise<string[]> {
	return page.evaluate(() =>
		[...document.querySelectorAll<HTMLElement>('button, .button')]
			.filter((button) => {
				const { left, right, width } = button.getBoundingClientRect();
				return width > 0 && (left < 0 || right > innerWidth || button.scrollWidth > button.clientWidth);
			})
			.map((button) => button.innerText || button.ariaLabel || '?')
	);
}

async function expectNoOverflow(page: Page, { width, height }: { width: number; height: number }): Promise<void> {
	const size = await page.evaluate(() => [
		document.documentElement.scrollWidth,
		document.documentElement.scrollHeight
	]);
	expect(size).toEqual([width, height]);
}

test.describe('at 400% zoom', () => {
	test.use({ viewport: { width: 320, height: 256 }, allowedMessages: [/Failed to load resource/] });

	test('every control can be scrolled to, and the access key can be entered', async ({ page }) => {
		const server = await Server.start([], { INPAINT_API_KEY: 'secret' });
		try {
			const app = await App.open(page, server.url);
			await app.openSample();
			await app.stage.focus();
			await page.keyboard.press('Enter');
			for (let i = 0; i < 5; i++) await page.keyboard.press('ArrowRight');
			await page.keyboard.press('Enter');
			expect(await clipped(page)).toEqual([]);
			const key = page.getByRole('textbox', { name: 'Access key' });
			await key.fill('secret');
			await expect(key).toBeInViewport({ ratio: 1 });
			await app.button('Continue').scrollIntoViewIfNeeded();
			await expect(app.button('Continue')).toBeInViewport({ ratio: 1 });
			await app.button('Continue').click();
			await app.finished();
			await app.download.scrollIntoViewIfNeeded();
			await expect(app.download).toBeInViewport({ ratio: 1 });
			expect(await clipped(page)).toEqual([]);
		} finally {
			await server.stop();
		}
	});
});
