import axe from 'axe-core';
import { App } from './app';
import { expect, test, type Page } from './fixtures';

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
				await app.button('More').click();
				expect(await violations(page)).toEqual([]);
				await page.keyboard.press('Escape');
				await app.openMask(Buffer.from('not an image'));
				await page.getByRole('alert').waitFor();
				expect(await violations(page)).toEqual([]);

				await app.remove.click();
				await app.download.waitFor();
				expect(await violations(page)).toEqual([]);
				await app.button('Side by side').click();
				expect(await violations(page)).toEqual([]);
				await app.button('Keep editing').click();
				await app.button('Original photo').waitFor();
				expect(await violations(page)).toEqual([]);
			});
		});
	}
}

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
	await app.remove.click();
	await app.download.waitFor();
	expect(await small()).toEqual([]);
});
