import { App } from './app';
import { expect, KEY, test, type Page } from './fixtures';
import { decode, holes, photo } from './images';

const FOUND = /^Marks found on \d+\.\d% of the photo\.$/;

// Chromium logs every error response.
test.use({ allowedMessages: [/Failed to load resource: .* 40[14]/] });

function controls(app: App) {
	const panel = app.page.getByRole('group', { name: 'Find marks' });
	return {
		find: app.button('Find marks'),
		panel,
		sensitivity: panel.getByRole('slider', { name: 'Sensitivity' }),
		status: app.page.getByRole('status')
	};
}

/** A photo of one colour. */
async function plainPhoto(page: Page): Promise<Buffer> {
	const encoded = await page.evaluate(async () => {
		const canvas = new OffscreenCanvas(300, 200);
		const context = canvas.getContext('2d')!;
		context.fillStyle = '#7fa3c7';
		context.fillRect(0, 0, 300, 200);
		const bytes = new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer());
		return btoa(String.fromCharCode(...bytes));
	});
	return Buffer.from(encoded, 'base64');
}

async function painted(app: App) {
	return decode(app.page, await app.saveMask());
}

test('marks are proposed as paint, which is corrected and then removed', async ({ page, recorder, server }) => {
	const app = await App.open(page, recorder.url);
	const { find, panel, sensitivity, status } = controls(app);
	await app.openSample();
	// With "Remove right away", the user's own paint waits for the proposal, too.
	recorder.pause();
	await find.click();
	await expect(status).toHaveText('Finding marks…');
	await app.paint([0.8, 0.45], [0.9, 0.45]);
	await expect(app.remove).toBeEnabled();
	recorder.resume();
	await expect(status).toHaveText(FOUND);
	expect(recorder.forms.at(-1)?.get('sensitivity')).toBe('0.5');

	const mask = await painted(app);
	const own = (230 * mask.width + 435) * 4; // the middle of that stroke
	expect(mask.data[own]).toBe(255);
	const form = new FormData();
	form.set('image', new Blob([new Uint8Array(await recorder.file('image'))]), 'image');
	const headers = { Accept: 'image/png' };
	const answer = await fetch(`${server.url}/masks/marks`, { method: 'POST', body: form, headers });
	const expected = await decode(page, Buffer.from(await answer.arrayBuffer()));
	expect([expected.width, expected.height]).toEqual([mask.width, mask.height]);
	expect(holes(expected)).toBeGreaterThan(1000);
	const missing = expected.data.filter((value, i) => i % 4 === 0 && value >= 128 && mask.data[i] === 0);
	expect(missing).toHaveLength(0);

	// What is erased stays erased when another sensitivity changes the proposal.
	await app.button('Eraser').click();
	await page.getByRole('slider', { name: 'Brush size' }).fill('100');
	await app.paint([0.4, 0.25], [0.5, 0.5]);
	const erased = await painted(app);
	expect(holes(erased)).toBeLessThan(holes(mask));
	await sensitivity.fill('20');
	await expect.poll(() => recorder.forms.at(-1)?.get('sensitivity')).toBe('1');
	await expect(status).toHaveText(FOUND);
	const more = await painted(app);
	expect(holes(more)).toBeGreaterThan(holes(erased));
	expect(more.data[own]).toBe(255);
	expect(more.data[(200 * more.width + 230) * 4]).toBe(0);

	// It survives a reload, and is undone and redone in one step.
	const saved = await app.saveMask();
	await app.reload();
	await app.picture.waitFor();
	expect((await app.saveMask()).equals(saved)).toBe(true);
	await app.button('Undo').click();
	await app.button('Undo').click();
	expect(holes(await painted(app))).toBeLessThan(holes(mask) / 2);
	await app.button('Redo').click();
	await app.button('Redo').click();
	expect((await app.saveMask()).equals(saved)).toBe(true);
	await app.button('Undo').click();
	await app.button('Undo').click();
	await app.button('Undo').click();
	await expect(app.remove).toBeHidden();
	// Undo also closes the panel.
	await find.click();
	await expect(status).toHaveText(FOUND);
	await expect.poll(() => app.shownPaint()).toBeGreaterThan(0);
	await page.keyboard.press('Control+z');
	await expect(panel).toBeHidden();
	await expect.poll(() => app.shownPaint()).toBe(0);
	await find.click();
	await expect(status).toHaveText(FOUND);
	await app.remove.click();
	await app.finished();
	await expect(panel).toBeHidden();
	await expect(status).toHaveText('Removed');
});

test('by keyboard: find, change the sensitivity, close; an empty result is announced', async ({ page, recorder }) => {
	const app = await App.open(page, recorder.url);
	const { panel, sensitivity, status } = controls(app);
	await app.choose(await plainPhoto(page), 'plain.png', 'image/png');
	await app.picture.waitFor();
	await page.keyboard.press('m');
	await expect(sensitivity).toBeFocused();
	await expect(status).toHaveText('No marks found. Try a higher sensitivity.');
	await expect(panel).toContainText('No marks found.');
	await expect(app.button('Undo')).toBeDisabled();
	await page.keyboard.press('ArrowRight');
	await expect(sensitivity).toHaveAttribute('aria-valuetext', '55%');
	await expect.poll(() => recorder.forms.at(-1)?.get('sensitivity')).toBe('0.55');
	// Closing the panel ends the search.
	recorder.pause();
	await page.keyboard.press('End');
	await expect.poll(() => recorder.forms.at(-1)?.get('sensitivity')).toBe('1');
	await page.keyboard.press('Escape');
	await expect(panel).toBeHidden();
	await expect(app.stage).toBeFocused();
	recorder.resume();
	await expect(app.button('Undo')).toBeDisabled();
	// Strokes are removed right away again.
	await app.paint([0.3, 0.3], [0.6, 0.6]);
	await app.finished();
});

test('the access key is asked for, and the search continues', async ({ page, lockedServer }) => {
	const app = await App.open(page, lockedServer.url);
	const { find, status } = controls(app);
	await app.openSample();
	await find.click();
	await expect(page.getByRole('alert')).toContainText('This server needs an access key');
	await page.getByRole('textbox', { name: 'Access key' }).fill(KEY);
	await app.button('Continue').click();
	await expect(status).toHaveText(FOUND);
	await app.remove.click();
	await app.finished();
});

test('finding marks is offered on this device, and on servers that can find marks', async ({ page, server }) => {
	const app = await App.open(page, server.url);
	const { find, status } = controls(app);
	await app.choose(await photo(page, 300, 200), 'photo.jpg');
	await expect(find).toBeVisible();
	await app.choosing('On this device');
	await expect(find).toBeVisible();
	await app.choosing('On the server');
	// As behind a proxy that does not have the route.
	await page.route('**/masks/marks', (route) => route.fulfill({ status: 404, body: '{}' }));
	await find.click();
	await expect(status).toHaveText("This server can't find marks. Paint over what you want to remove.");
	await expect(find).toBeHidden();
	await expect(app.stage).toBeFocused();
});
