import axe from 'axe-core';
import { App } from './app';
import { expect, test, type Page } from './fixtures';
import { decode } from './images';

/** Run axe's rules on the current page. */
async function violations(page: Page): Promise<string[]> {
	await page.evaluate(axe.source);
	const results = await page.evaluate(() =>
		(window as unknown as { axe: typeof axe }).axe.run({
			runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', 'best-practice']
		})
	);
	return results.violations.map(
		({ id, impact, nodes }) => `${impact} ${id}: ${nodes.map((node) => node.html).join(' ')}`
	);
}

for (const colorScheme of ['light', 'dark'] as const) {
	for (const [screen, viewport] of [
		['phone', { width: 360, height: 740 }],
		['desktop', { width: 1280, height: 800 }]
	] as const) {
		test.describe(`${screen}, ${colorScheme}`, () => {
			test.use({ colorScheme, viewport, contextOptions: { reducedMotion: 'reduce' } });

			test('axe finds no violations on any screen', async ({ page, server }) => {
				const app = await App.open(page, server.url);
				await page.getByRole('button', { name: /Try this sample/ }).waitFor();
				expect(await violations(page)).toEqual([]);

				await app.choose(Buffer.from('not an image'), 'notes.txt');
				await page.getByRole('alert').waitFor();
				expect(await violations(page)).toEqual([]);

				await app.openSample();
				expect(await violations(page)).toEqual([]);
				await page.keyboard.press('?');
				expect(await violations(page)).toEqual([]);
				await page.keyboard.press('Escape');
				await app.paint([0.27, 0.04], [0.62, 0.82]);
				await app.finished();
				await app.onRelease.click();
				expect(await violations(page)).toEqual([]);
				await app.paint([0.7, 0.1], [0.88, 0.3]);
				await app.button('More').click();
				expect(await violations(page)).toEqual([]);
				await page.keyboard.press('Escape');
				await app.openMask(Buffer.from('not an image'));
				await page.getByRole('alert').waitFor();
				expect(await violations(page)).toEqual([]);

				await app.button('Compare').click();
				await page.getByRole('img', { name: 'After' }).waitFor();
				expect(await violations(page)).toEqual([]);
				await app.button('Side by side').click();
				expect(await violations(page)).toEqual([]);
				await app.button('New photo').click();
				await page.getByRole('listitem').waitFor();
				expect(await violations(page)).toEqual([]);
			});
		});
	}
}

test('in forced colours, the chosen tool and what is switched on can be told', async ({ page, server }) => {
	await page.emulateMedia({ forcedColors: 'active', reducedMotion: 'reduce' });
	const app = await App.open(page, server.url);
	await app.openSampleToCollect();
	const background = (name: string) =>
		app.button(name).evaluate((button) => getComputedStyle(button).backgroundColor);
	expect(await background('Brush')).not.toBe(await background('Eraser'));
	const off = await app.onRelease.evaluate((button) => getComputedStyle(button).backgroundColor);
	await app.onRelease.click();
	await expect(app.onRelease).not.toHaveCSS('background-color', off);
	expect(await violations(page)).toEqual([]);
});

test("the photo's focus ring is over the photo", async ({ page, server }) => {
	const app = await App.open(page, server.url);
	await app.openSample();
	await app.button('Zoom in').click();
	await app.button('Zoom in').click();
	await app.stage.focus();
	await page.keyboard.press('ArrowRight');
	const { x, y } = (await app.stage.boundingBox())!;
	const photo = (await app.picture.boundingBox())!;
	expect(photo.y).toBeLessThan(y);
	const edge = await page.screenshot({ clip: { x: Math.max(x, photo.x) + 40, y, width: 20, height: 2 } });
	const { data } = await decode(page, edge);
	// The accent colour, #2456e6.
	expect([...data.subarray(0, 3)]).toEqual([0x24, 0x56, 0xe6]);
});

test('reduced motion disables all animations', async ({ page, server }) => {
	await page.emulateMedia({ reducedMotion: 'reduce' });
	await page.goto(server.url);
	await page.locator('img.before').waitFor();
	expect(await page.evaluate(() => document.getAnimations().length)).toBe(0);
});

test('every control is large enough to touch', async ({ page, server }) => {
	await page.setViewportSize({ width: 360, height: 740 });
	const app = await App.open(page, server.url);
	const small = async () =>
		(
			await Promise.all(
				(await page.locator('button, label.button, a.button').all()).map(async (control) => ({
					name: (await control.getAttribute('aria-label')) ?? (await control.textContent()),
					box: await control.boundingBox()
				}))
			)
		).filter(({ box }) => box && (box.width < 44 || box.height < 44));
	expect(await small()).toEqual([]);
	await app.openSample();
	expect(await small()).toEqual([]);
	await app.paint([0.2, 0.2], [0.4, 0.4]);
	await app.finished();
	await app.onRelease.click();
	expect(await small()).toEqual([]);
});
