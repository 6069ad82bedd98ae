import axe from 'axe-core';
import { App } from './app';
import { expect, test, type Page } from './fixtures';
import { decode } from './images';

const DESKTOP = { width: 1280, height: 800 };
const PHONE = { width: 360, height: 740 };
const RULES = ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', 'best-practice'];

/** Run axe on the current page, with rules given by their names or tags. */
async function violations(page: Page, rules: string[]): Promise<string[]> {
	// Colours change in short transitions.
	await page.waitForFunction(() => document.getAnimations().length === 0);
	if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(axe.source);
	const results = await page.evaluate(
		(runOnly) => (window as unknown as { axe: typeof axe }).axe.run({ runOnly, resultTypes: ['violations'] }),
		rules
	);
	return results.violations.map(
		({ id, impact, nodes }) => `${impact} ${id}: ${nodes.map((node) => node.html).join(' ')}`
	);
}

/** Expect no violations on a desktop, in both colour schemes, and on a phone. */
async function expectNone(page: Page): Promise<void> {
	expect(await violations(page, RULES)).toEqual([]);
	await page.emulateMedia({ colorScheme: 'dark' });
	expect(await violations(page, ['color-contrast'])).toEqual([]);
	await page.setViewportSize(PHONE);
	expect(await violations(page, RULES)).toEqual([]);
	await page.emulateMedia({ colorScheme: 'light' });
	await page.setViewportSize(DESKTOP);
}

/** The controls that are too small to touch. */
function small(page: Page): Promise<string[]> {
	return page.locator('button, label.button, a.button').evaluateAll((controls) =>
		controls
			.map((control) => ({ control, box: control.getBoundingClientRect() }))
			.filter(({ box }) => box.width > 0 && (box.width < 44 || box.height < 44))
			.map(({ control, box }) => `${control.outerHTML}: ${box.width} × ${box.height}`)
	);
}

test('axe finds no violations before a photo is painted on', async ({ page, server }) => {
	await page.setViewportSize(DESKTOP);
	const app = await App.open(page, server.url);
	await page.getByRole('button', { name: /Try this sample/ }).waitFor();
	await expectNone(page);

	await app.choose(Buffer.from('not an image'), 'notes.txt');
	await page.getByRole('alert').waitFor();
	await expectNone(page);

	await app.openSample();
	await expectNone(page);
	await page.keyboard.press('?');
	await page.getByRole('dialog').waitFor();
	await expectNone(page);
	await page.keyboard.press('Escape');
	await page.keyboard.press('m');
	await expect(page.getByRole('status')).toHaveText(/^Marks found/);
	await expectNone(page);
});

test('axe finds no violations after a removal, while results are compared, or while photos are offered', async ({
	page,
	server
}) => {
	await page.setViewportSize(DESKTOP);
	const app = await App.open(page, server.url);
	await app.openSample();
	await app.paint([0.27, 0.04], [0.4, 0.2]);
	await app.finished();
	await app.onRelease.click();
	await expectNone(page);
	await app.paint([0.7, 0.1], [0.88, 0.3]);
	await app.button('More').click();
	await app.button('Save mask').waitFor();
	await expectNone(page);
	await page.keyboard.press('Escape');
	await app.openMask(Buffer.from('not an image'));
	await page.getByRole('alert').waitFor();
	await expectNone(page);

	await app.compare();
	await page.getByRole('img', { name: 'After' }).waitFor();
	await expectNone(page);
	await app.button('Side by side').click();
	await expectNone(page);
	await app.button('New photo').click();
	await page.getByRole('listitem').waitFor();
	await expectNone(page);
});

test('in forced colours, the chosen tool and active switches are recognisable', async ({ page, server }) => {
	await page.emulateMedia({ forcedColors: 'active' });
	const app = await App.open(page, server.url, { collecting: true });
	await app.openSample();
	const background = (name: string) =>
		app.button(name).evaluate((button) => getComputedStyle(button).backgroundColor);
	expect(await background('Brush')).not.toBe(await background('Eraser'));
	const off = await app.onRelease.evaluate((button) => getComputedStyle(button).backgroundColor);
	await app.onRelease.click();
	await expect(app.onRelease).not.toHaveCSS('background-color', off);
	expect(await violations(page, RULES)).toEqual([]);
});

test("the photo's focus ring is drawn over the photo", async ({ page, server }) => {
	const app = await App.open(page, server.url);
	await app.openSample();
	await app.button('Zoom in').click();
	await app.button('Zoom in').click();
	await app.stage.focus();
	await page.keyboard.press('ArrowRight');
	const { x, y } = (await app.stage.boundingBox())!;
	const photo = await app.place();
	expect(photo.y).toBeLessThan(y);
	const edge = await page.screenshot({ clip: { x: Math.max(x, photo.x) + 40, y, width: 20, height: 2 } });
	const { data } = await decode(page, edge);
	// The accent colour, #2456e6.
	expect([...data.subarray(0, 3)]).toEqual([0x24, 0x56, 0xe6]);
});

test('on a phone every control is large enough to touch; reduced motion disables all animations', async ({
	page,
	server
}) => {
	await page.setViewportSize(PHONE);
	const app = await App.open(page, server.url);
	expect(await page.evaluate(() => document.getAnimations().length)).toBe(0);
	expect(await small(page)).toEqual([]);
	await app.openSample();
	expect(await small(page)).toEqual([]);
	await app.paint([0.2, 0.2], [0.4, 0.4]);
	await app.finished();
	await app.onRelease.click();
	expect(await small(page)).toEqual([]);
});
