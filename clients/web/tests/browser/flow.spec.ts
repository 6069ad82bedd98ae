import { App, straight, touch } from './app';
import { expect, test, type Page } from './fixtures';
import { compare, decode } from './images';
import type { Recorder } from './recorder';

/** Check that the photo and mask were sent unchanged, and that only the hole differs in the result. */
async function expectFilled(page: Page, app: App, recorder: Recorder, chosen: Buffer, painted: Buffer) {
	const sentMask = await recorder.file('mask');
	expect((await recorder.file('image')).equals(chosen)).toBe(true);
	expect(sentMask.equals(painted)).toBe(true);
	const { name, file } = await app.saveResult();
	expect(name).toBe('astronaut-filled.webp');
	const { holes, changed } = await compare(page, chosen, file, sentMask);
	expect(holes).toBeGreaterThan(500);
	expect(changed.outside).toBe(0);
	expect(changed.inside).toBeGreaterThan(0.9 * holes);
}

async function sample(page: Page): Promise<Buffer> {
	const url = await page.locator('img.before').evaluate((image: HTMLImageElement) => image.src);
	return (await page.request.get(url)).body();
}

/** The scratches of the sample. */
const LONG = [
	[0.27, 0.04],
	[0.42, 0.25],
	[0.51, 0.47],
	[0.62, 0.82]
] as const;
const SHORT = [
	[0.04, 0.73],
	[0.22, 0.66],
	[0.69, 0.63]
] as const;

test('with the mouse: a stroke removes what it covers, in place', async ({ page, recorder }) => {
	const app = await App.open(page, recorder.url);
	const chosen = await sample(page);
	await app.openSample();
	await expect(app.download).toBeDisabled();
	await expect(app.remove).toBeHidden();
	await app.button('Zoom in').click();
	const place = await app.place();
	// The scratch's upper end is above the stage now.
	await app.paint(...LONG.slice(1));
	await app.finished();
	await expect(page.getByRole('status')).toHaveText('Removed');
	expect(await app.place()).toEqual(place);
	await expectFilled(page, app, recorder, chosen, await recorder.file('mask'));

	const first = await app.saveResult();
	await app.paint([0.7, 0.2], [0.88, 0.4]);
	await expect.poll(() => recorder.forms.length).toBe(2);
	await app.finished();
	expect((await recorder.file('image')).equals(first.file)).toBe(true);
	const second = await app.saveResult();

	// Undo and redo work across removals, without asking the server again.
	await page.keyboard.press('Control+z');
	expect((await app.saveResult()).file.equals(first.file)).toBe(true);
	await page.keyboard.press('Control+z');
	await expect(app.download).toBeDisabled();
	expect(await app.shownPaint()).toBe(0);
	await page.keyboard.press('Control+Shift+z');
	await app.button('Redo').click();
	expect((await app.saveResult()).file.equals(second.file)).toBe(true);
	expect(recorder.forms).toHaveLength(2);
});

test('strokes painted during a removal are removed after it, each on the newest photo', async ({ page, recorder }) => {
	const app = await App.open(page, recorder.url);
	await app.openSample();
	recorder.pause();
	await app.paint(...LONG);
	await app.paint(...SHORT);
	await app.paint([0.7, 0.1], [0.88, 0.3]);
	// The last one is undone while it waits.
	await page.keyboard.press('Control+z');
	await expect.poll(() => recorder.forms.length).toBe(1);
	recorder.resume();
	await app.finished();
	expect(recorder.forms).toHaveLength(2);
	const { file } = await app.saveResult();
	await app.button('Undo').click();
	const between = await app.saveResult();
	expect((await recorder.file('image')).equals(between.file)).toBe(true);
	const { holes, changed } = await compare(page, between.file, file, await recorder.file('mask'));
	expect([holes > 500, changed.outside]).toEqual([true, 0]);
});

test('a running removal can be undone, or cancelled to keep its paint', async ({ page, recorder }) => {
	const app = await App.open(page, recorder.url);
	await app.openSample();
	recorder.pause();
	await app.paint(...LONG);
	await expect(app.progress).toBeVisible();
	await page.keyboard.press('Control+z');
	await expect(app.progress).toBeHidden();
	await expect(app.button('Undo')).toBeDisabled();
	await page.keyboard.press('Control+Shift+z');
	await expect(app.progress).toBeVisible();
	await app.button('Cancel').click();
	await expect(app.progress).toBeHidden();
	await expect(app.stage).toBeFocused();
	expect(await app.shownPaint()).toBeGreaterThan(0);
	await app.remove.click();
	await expect(app.progress).toBeVisible();
	await page.keyboard.press('Escape');
	await expect(app.progress).toBeHidden();
	await expect(page.getByRole('alert')).toBeHidden();
	recorder.resume();
	await app.remove.click();
	await app.finished();
	await expect(app.stage).toBeFocused();
});

test('several strokes are collected for the Remove button, and the choice is remembered', async ({
	page,
	recorder
}) => {
	const app = await App.open(page, recorder.url);
	const chosen = await sample(page);
	await app.openSample();
	await app.onRelease.click();
	await app.button('Dismiss').click();
	await expect(app.remove).toBeDisabled();
	await app.paint(...LONG);
	await app.paint(...SHORT);
	const painted = await app.saveMask();
	await app.remove.click();
	await app.finished();
	await expectFilled(page, app, recorder, chosen, painted);
	// The paint comes back and can be changed.
	await app.button('Undo').click();
	expect((await app.saveMask()).equals(painted)).toBe(true);
	await app.button('Redo').click();
	await expect(app.download).toBeEnabled();

	await app.button('New photo').click();
	await app.openSample();
	await expect(app.onRelease).not.toBeChecked();
	await app.paint(...SHORT);
	await expect(app.remove).toBeEnabled();
	await app.onRelease.click();
	// Paint that is already there still waits.
	await app.paint(...LONG);
	await app.remove.click();
	await app.finished();
	expect(recorder.forms).toHaveLength(2);
});

test('the result is compared with the original: by holding, with a slider, side by side', async ({ page, server }) => {
	const app = await App.open(page, server.url);
	await app.openSample();
	await expect(app.button('Compare')).toBeDisabled();
	await app.paint(...SHORT);
	await app.finished();
	await app.button('Zoom in').click();
	const place = await app.place();

	const original = app.stage.getByRole('img', { name: 'Original' });
	await page.keyboard.down('c');
	await expect(original).toBeVisible();
	expect(await original.boundingBox()).toEqual(place);
	await page.keyboard.up('c');
	await expect(original).toBeHidden();
	await app.button('Compare').hover();
	await page.mouse.down();
	await expect(original).toBeVisible();
	await page.mouse.up();
	await expect(original).toBeHidden();

	await app.compare();
	const after = page.getByRole('img', { name: 'After' });
	expect(await after.boundingBox()).toEqual(place);
	const line = page.getByRole('slider', { name: 'Comparison slider' });
	await page.keyboard.press('0');
	await line.focus();
	await page.keyboard.press('Home');
	await expect(line).toHaveValue('0');
	await page.mouse.click(640, 300);
	await expect(line).toHaveValue('50');
	await app.button('Side by side').click();
	await expect(page.getByRole('img', { name: 'Before' })).toBeVisible();
	await expect(after).toBeVisible();
	await app.saveResult();
	await page.keyboard.press('Escape');
	await expect(app.stage).toBeVisible();
	// At most two photos are decoded: the newest, and the original while they are compared.
	expect(await page.locator('img').count()).toBe(1);
});

test('the result can be copied and dragged out', async ({ page, context, server }) => {
	await context.grantPermissions(['clipboard-read', 'clipboard-write']);
	const app = await App.open(page, server.url);
	await app.openSample();
	await expect(app.button('Copy')).toBeHidden();
	await app.paint(...SHORT);
	await app.finished();
	const { name, file } = await app.saveResult();
	await page.keyboard.press('Control+c');
	await expect(page.getByRole('status')).toHaveText('Copied.');
	const copied = await page.evaluate(async () => {
		const [item] = await navigator.clipboard.read();
		const bytes = new Uint8Array(await (await item!.getType('image/png')).arrayBuffer());
		return btoa(bytes.reduce((text, byte) => text + String.fromCharCode(byte), ''));
	});
	const pixels = (await decode(page, Buffer.from(copied, 'base64'))).data;
	expect(pixels.equals((await decode(page, file)).data)).toBe(true);

	const dragged = await app.download.evaluate((link) => {
		const dataTransfer = new DataTransfer();
		link.dispatchEvent(new DragEvent('dragstart', { bubbles: true, dataTransfer }));
		return [...dataTransfer.files].map(({ name, size }) => ({ name, size }));
	});
	expect(dragged).toEqual([{ name, size: file.length }]);
	const download = page.waitForEvent('download');
	await page.keyboard.press('Control+s');
	expect((await download).suggestedFilename()).toBe(name);
});

test.describe('on a phone', () => {
	test.use({ viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true, deviceScaleFactor: 3 });

	test('with fingers: sample, pinch, paint, save', async ({ page, recorder }) => {
		const app = await App.open(page, recorder.url);
		const chosen = await sample(page);
		await page.getByRole('button', { name: /Try this sample/ }).tap();
		await app.picture.waitFor();
		const coarse = await app.place();

		// Two fingers zoom, and do not paint.
		const middle = await app.at([0.5, 0.5]);
		const beside = (x: number, y: number) => ({ x: middle.x + x, y: middle.y + y });
		await touch(page, straight(beside(-40, 0), beside(-120, 20)), straight(beside(40, 0), beside(120, -20)));
		const width = async () => (await app.place()).width;
		await expect.poll(width).toBeGreaterThan(2 * coarse.width);
		await expect(app.button('Undo')).toBeDisabled();
		await page.getByRole('button', { name: /fit to screen/ }).tap();
		await expect.poll(() => app.place()).toEqual(coarse);

		await touch(page, straight(await app.at([0.27, 0.04]), await app.at([0.62, 0.82])));
		await app.finished();
		await expectFilled(page, app, recorder, chosen, await recorder.file('mask'));
		// The page does not overflow horizontally.
		expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(360);
	});
});

test('? opens the keyboard shortcuts on every screen', async ({ page, server }) => {
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
