import { App, straight, touch } from './app';
import { expect, test, type Page } from './fixtures';
import { compare } from './images';
import type { Recorder } from './recorder';

/** Check that the photo and mask were sent unchanged, and that only the hole differs in the result. */
async function expectFilled(page: Page, app: App, recorder: Recorder, chosen: Buffer, painted: Buffer) {
	const sentMask = await recorder.file('mask');
	expect((await recorder.file('image')).equals(chosen)).toBe(true);
	expect(sentMask.equals(painted)).toBe(true);
	const { name, file } = await app.saveResult();
	expect(name).toBe('astronaut-filled.png');
	const { holes, changed } = await compare(page, chosen, file, sentMask);
	expect(holes).toBeGreaterThan(500);
	expect(changed.outside).toBe(0);
	expect(changed.inside).toBeGreaterThan(0.9 * holes);
}

async function sample(page: Page): Promise<Buffer> {
	const url = await page.locator('img.before').evaluate((image: HTMLImageElement) => image.src);
	return (await page.request.get(url)).body();
}

test('with the mouse: sample, paint, remove, compare, save, keep editing, edit the mask', async ({
	page,
	recorder
}) => {
	const app = await App.open(page, recorder.url);
	const chosen = await sample(page);
	await app.openSample();
	await expect(app.remove).toBeDisabled();
	await app.paint([0.27, 0.04], [0.42, 0.25], [0.51, 0.47], [0.62, 0.82]);
	await app.paint([0.04, 0.73], [0.22, 0.66], [0.69, 0.63]);
	const painted = await app.saveMask();
	await app.remove.click();
	await app.download.waitFor();
	await expect(page.getByRole('status')).toHaveText('Done. Showing the result.');
	await expectFilled(page, app, recorder, chosen, painted);

	const line = page.getByRole('slider', { name: 'Comparison slider' });
	await line.focus();
	await page.keyboard.press('Home');
	await expect(line).toHaveValue('0');
	await page.mouse.click(640, 300);
	await expect(line).toHaveValue('50');

	await app.button('Side by side').click();
	await expect(page.getByRole('img', { name: 'Before' })).toBeVisible();
	await expect(page.getByRole('img', { name: 'After' })).toBeVisible();

	const first = await app.saveResult();
	await app.button('Keep editing').click();
	await app.paint([0.7, 0.1], [0.88, 0.3]);
	await app.remove.click();
	await app.download.waitFor();
	expect((await recorder.file('image')).equals(first.file)).toBe(true);

	await app.button('Edit mask').click();
	await expect(app.button('Undo')).toBeEnabled();
	await app.button('Original photo').click();
	expect((await app.saveMask()).equals(painted)).toBe(true);

	await app.button('New photo').click();
	await expect(page.getByRole('heading', { name: 'Remove marks from a photo' })).toBeFocused();
	await app.button('Back to your photo').click();
	await app.picture.waitFor();
});

test.describe('on a phone', () => {
	test.use({ viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true, deviceScaleFactor: 3 });

	test('with fingers: sample, paint, pinch, remove, save', async ({ page, recorder }) => {
		const app = await App.open(page, recorder.url);
		const chosen = await sample(page);
		await page.getByRole('button', { name: /Try this sample/ }).tap();
		await app.picture.waitFor();
		await touch(page, straight(await app.at([0.27, 0.04]), await app.at([0.62, 0.82])));
		const coarse = await app.picture.boundingBox();

		// Two fingers zoom, and do not paint.
		const middle = await app.at([0.5, 0.5]);
		const beside = (x: number, y: number) => ({ x: middle.x + x, y: middle.y + y });
		await touch(page, straight(beside(-40, 0), beside(-120, 20)), straight(beside(40, 0), beside(120, -20)));
		const fine = await app.picture.boundingBox();
		expect(fine!.width).toBeGreaterThan(2 * coarse!.width);
		await app.button('Undo').tap();
		await expect(app.button('Undo')).toBeDisabled();
		await app.button('Redo').tap();

		await touch(page, straight(await app.at([0.45, 0.48]), await app.at([0.6, 0.52])));
		await page.getByRole('button', { name: 'Fit to screen' }).tap();
		await expect.poll(() => app.picture.boundingBox()).toEqual(coarse);
		const painted = await app.saveMask();
		await app.remove.tap();
		await app.download.waitFor();
		await expectFilled(page, app, recorder, chosen, painted);
		// The page does not overflow horizontally.
		expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(360);
	});
});

test('impatient clicks on Remove do not start a download', async ({ page, server }) => {
	const app = await App.open(page, server.url);
	await app.openSample();
	await app.paint([0.27, 0.04], [0.62, 0.82]);
	const downloads: string[] = [];
	page.on('download', (download) => downloads.push(download.suggestedFilename()));
	const { x, y, width, height } = (await app.remove.boundingBox())!;
	const click = () => page.mouse.click(x + width / 2, y + height / 2);
	await click();
	while (!(await app.download.isVisible())) await click();
	for (let i = 0; i < 8; i++) {
		await click();
		await page.waitForTimeout(150);
	}
	expect(downloads).toEqual([]);
	await app.saveResult();
	expect(downloads).toHaveLength(1);
});

test('a ? opens the keyboard shortcuts, on every screen', async ({ page, server }) => {
	const app = await App.open(page, server.url);
	const dialog = page.getByRole('dialog', { name: 'Keyboard shortcuts' });
	await page.keyboard.press('?');
	await expect(dialog).toBeVisible();
	await page.keyboard.press('Escape');
	await expect(dialog).toBeHidden();
	await app.openSample();
	await app.button('Keyboard shortcuts').click();
	await expect(dialog).toContainText('Undo, redo');
	// Shortcuts do not act on the page behind the dialog.
	await page.keyboard.press('e');
	await app.button('Close').click();
	await expect(app.button('Brush')).toHaveAttribute('aria-pressed', 'true');
	await page.keyboard.press('?');
	await page.mouse.click(5, 400);
	await expect(dialog).toBeHidden();
	await expect(app.button('Undo')).toBeDisabled();
});
