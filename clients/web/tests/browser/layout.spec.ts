import { App } from './app';
import { expect, KEY, test, type Page } from './fixtures';

/** Phones in landscape, the second a small one, and a desktop at 200% zoom. */
const SCREENS = [
	{ width: 740, height: 360 },
	{ width: 568, height: 320 },
	{ width: 640, height: 400 }
] as const;

async function expectWhole(page: Page, name: string | RegExp): Promise<void> {
	await expect(page.getByRole('button', { name, exact: true })).toBeInViewport({ ratio: 1 });
}

/** The buttons that the viewport cuts off at the left or the right, or whose text overflows. */
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

async function expectNoOverflow(page: Page): Promise<void> {
	const { width, height } = page.viewportSize()!;
	const size = () =>
		page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.scrollHeight]);
	await expect.poll(size).toEqual([width, height]);
}

test('on short screens the sample is visible, and the photo takes up most of the screen', async ({ page, server }) => {
	const onEveryScreen = async (check: (screen: (typeof SCREENS)[number]) => Promise<void>) => {
		for (const screen of SCREENS) {
			await page.setViewportSize(screen);
			await test.step(`${screen.width} × ${screen.height}`, () => check(screen));
			await expect.poll(() => clipped(page)).toEqual([]);
		}
	};
	const app = await App.open(page, server.url);
	await onEveryScreen(async () => {
		await expectWhole(page, /Try this sample/);
		await expectWhole(page, 'Keyboard shortcuts');
	});
	await app.openSample();
	await onEveryScreen(async ({ height }) => {
		await expect.poll(async () => (await app.stage.boundingBox())!.height).toBeGreaterThan(0.55 * height);
	});
	await app.paint([0.3, 0.3], [0.6, 0.6]);
	await app.finished();
	await app.onRelease.click();
	await onEveryScreen(async () => {
		await expect.poll(async () => (await page.getByRole('main').boundingBox())!.y).toBeLessThan(60);
		await expectWhole(page, 'Remove');
		await expectWhole(page, 'Compare');
		await expect(app.download).toBeInViewport({ ratio: 1 });
		await expectNoOverflow(page);
	});
	await app.compare();
	await onEveryScreen(async () => {
		await expectWhole(page, 'Side by side');
		await expectNoOverflow(page);
	});
});

test.describe('at 400% zoom', () => {
	test.use({ viewport: { width: 320, height: 256 }, allowedMessages: [/Failed to load resource/] });

	test('every control can be scrolled to, and the access key can be entered', async ({ page, lockedServer }) => {
		const app = await App.open(page, lockedServer.url);
		await app.openSample();
		await app.stage.focus();
		await page.keyboard.press('Enter');
		for (let i = 0; i < 5; i++) await page.keyboard.press('ArrowRight');
		await page.keyboard.press('Enter');
		const key = page.getByRole('textbox', { name: 'Access key' });
		await key.fill(KEY);
		await expect.poll(() => clipped(page)).toEqual([]);
		await expect(key).toBeInViewport({ ratio: 1 });
		await app.button('Continue').scrollIntoViewIfNeeded();
		await expect(app.button('Continue')).toBeInViewport({ ratio: 1 });
		await app.button('Continue').click();
		await app.finished();
		await app.download.scrollIntoViewIfNeeded();
		await expect(app.download).toBeInViewport({ ratio: 1 });
		await expect.poll(() => clipped(page)).toEqual([]);
	});
});
