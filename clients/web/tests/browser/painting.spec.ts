import { App, straight, touch } from './app';
import { expect, test } from './fixtures';
import { decode, holes } from './images';

let app: App;

test.beforeEach(async ({ page, server }) => {
	app = await App.open(page, server.url, { collecting: true });
	await app.openSample();
});

async function mask() {
	return decode(app.page, await app.saveMask());
}

test('undo, redo and clear work by stroke, by button and by key', async ({ page }) => {
	await app.paint([0.2, 0.2], [0.8, 0.2]);
	const one = await app.saveMask();
	await app.paint([0.2, 0.5], [0.8, 0.5]);
	const two = await app.saveMask();
	expect(one.equals(two)).toBe(false);

	await page.keyboard.press('Control+z');
	expect((await app.saveMask()).equals(one)).toBe(true);
	await page.keyboard.press('Control+Shift+z');
	expect((await app.saveMask()).equals(two)).toBe(true);
	await app.button('Undo').click();
	await app.button('Redo').click();
	expect((await app.saveMask()).equals(two)).toBe(true);

	await app.choosing('Clear paint');
	await expect(app.remove).toBeDisabled();
	await expect.poll(() => app.shownPaint()).toBe(0);
	await app.button('Undo').click();
	expect((await app.saveMask()).equals(two)).toBe(true);
});

test('the eraser removes paint', async () => {
	await app.paint([0.2, 0.5], [0.8, 0.5]);
	const painted = holes(await mask());
	await app.page.keyboard.press('e');
	await expect(app.button('Eraser')).toHaveAttribute('aria-pressed', 'true');
	await app.paint([0.2, 0.5], [0.5, 0.5]);
	const left = holes(await mask());
	expect(left / painted).toBeGreaterThan(0.4);
	expect(left / painted).toBeLessThan(0.6);
});

test('the paint on the screen matches the mask', async () => {
	await app.paint([0.15, 0.2], [0.5, 0.7], [0.9, 0.3]);
	await app.page.keyboard.press('e');
	await app.paint([0.4, 0.1], [0.5, 0.9]);
	await expect.poll(() => app.shownPaint()).toBeGreaterThan(0);
	const photo = await app.place();
	const stage = await app.stage.boundingBox();
	const { width, height, data } = await mask();
	const share = holes({ width, height, data }) / (width * height);
	const shown = (await app.shownPaint()) * ((stage!.width * stage!.height) / (photo.width * photo.height));
	expect(Math.abs(shown / share - 1)).toBeLessThan(0.02);
});

test('hidden paint is kept, and painting shows it', async ({ page }) => {
	await app.paint([0.2, 0.5], [0.8, 0.5]);
	const canvas = app.stage.locator('canvas');
	await app.choosing('Hide paint');
	await expect(canvas).toHaveCSS('opacity', '0');
	await page.keyboard.press('h');
	await expect(canvas).not.toHaveCSS('opacity', '0');
	expect(holes(await mask())).toBeGreaterThan(0);
	await page.keyboard.press('h');
	await expect(canvas).toHaveCSS('opacity', '0');
	await app.paint([0.2, 0.8], [0.8, 0.8]);
	await expect(canvas).not.toHaveCSS('opacity', '0');
});

test('strokes outside the photo, a click that closes the menu, and moving the photo do not paint', async ({ page }) => {
	await app.paint([-0.2, 0.2], [-0.1, 0.9]);
	await app.paint([1.2, 0.5], [1.2, 0.5]);
	await expect(app.button('Undo')).toBeDisabled();
	await expect(app.remove).toBeDisabled();

	await app.button('More').click();
	await expect(app.button('Save mask')).toBeVisible();
	await expect(page.getByRole('group', { name: 'Model' })).toBeHidden(); // there is only one
	const { x, y } = await app.at([0.5, 0.5]);
	await page.mouse.click(x, y);
	await expect(app.button('Save mask')).toBeHidden();

	await app.button('Zoom in').click();
	await app.stage.hover();
	for (const [press, lift] of [
		[() => page.mouse.down({ button: 'middle' }), () => page.mouse.up({ button: 'middle' })],
		[
			async () => {
				await page.keyboard.down(' ');
				await page.mouse.down();
			},
			async () => {
				await page.mouse.up();
				await page.keyboard.up(' ');
			}
		]
	] as const) {
		const before = await app.place();
		await page.mouse.move(x, y);
		await press();
		await page.mouse.move(x + 40, y - 30, { steps: 4 });
		await lift();
		await expect
			.poll(async () => {
				const after = await app.place();
				return [after.x - before.x, after.y - before.y].map(Math.round);
			})
			.toEqual([40, -30]);
	}
	await expect(app.button('Undo')).toBeDisabled();

	await page.mouse.click(x, y);
	await expect(app.button('Undo')).toBeEnabled();
	await page.keyboard.press('Control+z');
	await page.keyboard.press('0');
	await app.paint([-0.1, 0.5], [0.1, 0.5]);
	await expect(app.remove).toBeEnabled();
});

test('the brush size can be set by slider and by key', async ({ page }) => {
	const slider = page.getByRole('slider', { name: 'Brush size' });
	const thickness = async () => {
		await app.paint([0.2, 0.5], [0.8, 0.5]);
		const { width, height, data } = await mask();
		await app.button('Undo').click();
		let count = 0;
		for (let y = 0; y < height; y++) if (data[4 * (y * width + width / 2)]) count++;
		return count;
	};
	const scale = (await app.place()).width / 512;
	for (const position of ['20', '80']) {
		await slider.fill(position);
		const pixels = Number.parseInt((await slider.getAttribute('aria-valuetext'))!, 10);
		expect(Math.abs((await thickness()) - pixels / scale)).toBeLessThanOrEqual(1);
	}
	const size = async () => Number.parseInt((await slider.getAttribute('aria-valuetext'))!, 10);
	const large = await size();
	for (let i = 0; i < 4; i++) await page.keyboard.press('[');
	await expect.poll(size).toBeLessThan(0.7 * large);
	for (let i = 0; i < 4; i++) await page.keyboard.press(']');
	await expect.poll(size).toBeGreaterThan(0.7 * large);
});

test('when zoomed in, the brush is finer and paints under the pointer', async ({ page }) => {
	const percent = page.getByRole('button', { name: /fit to screen/ });
	const fitted = (await percent.textContent())!;
	await app.paint([0.5, 0.5], [0.6, 0.5]);
	const coarse = holes(await mask());
	await app.button('Undo').click();
	const middle = await app.at([0.5, 0.5]);
	await page.mouse.move(middle.x, middle.y);
	for (let i = 0; i < 4; i++) await page.mouse.wheel(0, -300);
	await expect.poll(async () => (await app.place()).width).toBeGreaterThan(2000);
	const again = await app.at([0.5, 0.5]);
	expect(Math.hypot(again.x - middle.x, again.y - middle.y)).toBeLessThan(1.5);
	await app.paint([0.5, 0.5], [0.6, 0.5]);
	const { width, data } = await mask();
	expect(holes(await mask())).toBeLessThan(coarse / 2);
	expect(data[4 * (256 * width + 280)]).toBe(255);
	await page.keyboard.press('0');
	await expect(percent).toHaveText(fitted);
});

test('a saved mask can be opened again, painted on, and undone; another file is refused', async ({ page }) => {
	await app.paint([0.2, 0.3], [0.8, 0.6]);
	const saved = await app.saveMask();
	await app.choosing('Clear paint');
	await app.openMask(saved);
	await expect(app.remove).toBeEnabled();
	expect((await app.saveMask()).equals(saved)).toBe(true);
	await expect.poll(() => app.shownPaint()).toBeGreaterThan(0);
	await app.paint([0.2, 0.8], [0.8, 0.8]);
	expect(holes(await mask())).toBeGreaterThan(holes(await decode(app.page, saved)));
	await app.button('Undo').click();
	const encoded = await page.evaluate(async () => {
		const canvas = new OffscreenCanvas(300, 200);
		canvas.getContext('2d');
		const bytes = new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer());
		return btoa(String.fromCharCode(...bytes));
	});
	await app.openMask(Buffer.from(encoded, 'base64'));
	await expect(page.getByRole('alert')).toContainText('300 × 200 pixels, but the photo is 512 × 512');
	await app.openMask(Buffer.from('not an image'));
	await expect(page.getByRole('alert')).toContainText("Can't read that mask");
	expect((await app.saveMask()).equals(saved)).toBe(true);
});

test('empty and full masks are not sent', async ({ page }) => {
	await app.paint([0.5, 0.5], [0.52, 0.5]);
	await page.keyboard.press('e');
	await page.getByRole('slider', { name: 'Brush size' }).fill('100');
	await app.paint([0.4, 0.5], [0.6, 0.5]);
	await app.remove.click();
	await expect(page.getByRole('alert')).toContainText('Nothing is painted yet');
	await app.button('Brush').click();
	for (let row = 0; row <= 1.01; row += 0.2) await app.paint([0, row], [1, row]);
	await app.remove.click();
	await expect(page.getByRole('alert')).toContainText('The whole photo is covered');
});

test('the lasso paints the inside of its line, which can be grown and shrunk', async ({ page }) => {
	await page.keyboard.press('l');
	await expect(app.button('Lasso')).toHaveAttribute('aria-pressed', 'true');
	await app.paint([0.2, 0.2], [0.6, 0.2], [0.6, 0.6], [0.2, 0.6]);
	const { width, height, data } = await mask();
	const inside = 0.4 * 0.4 * width * height;
	expect(Math.abs(holes({ width, height, data }) / inside - 1)).toBeLessThan(0.03);
	await expect.poll(() => app.shownPaint()).toBeGreaterThan(0);
	await app.choosing('Grow paint');
	const grown = await mask();
	expect(holes(grown)).toBeGreaterThan(holes({ width, height, data }));
	await app.choosing('Shrink paint');
	expect(Math.abs(holes(await mask()) / holes({ width, height, data }) - 1)).toBeLessThan(0.02);
	await app.button('Undo').click();
	expect(holes(await mask())).toBe(holes(grown));
	await app.button('Undo').click();
	// A tap has no inside.
	await app.paint([0.8, 0.8]);
	await app.button('Undo').click();
	await expect(app.button('Undo')).toBeDisabled();
});

test('by keyboard alone: paint, remove and reach the download', async ({ page }) => {
	const status = page.getByRole('status');
	await app.stage.focus();
	await page.keyboard.press('Enter');
	await expect(status).toHaveText('Brush down');
	for (let i = 0; i < 12; i++) await page.keyboard.press('ArrowRight');
	await page.keyboard.press('Shift+ArrowDown');
	await page.keyboard.press('Enter');
	await expect(status).toHaveText('Brush up');
	await page.keyboard.press('ArrowDown');
	const { width, height, data } = await mask();
	const count = holes({ width, height, data });
	expect(count).toBeGreaterThan(500);
	expect(data[4 * (256 * width + 270)]).toBe(255);
	await app.remove.focus();
	await page.keyboard.press('Enter');
	await app.finished();
	await expect(status).toHaveText('Removed');
	await expect(app.remove).toBeFocused();
	while (!(await app.download.evaluate((link) => link === document.activeElement))) {
		await page.keyboard.press('Shift+Tab');
		await expect(page.locator('body')).not.toBeFocused();
	}
});

test('by keyboard, the brush stays on the screen, and keys move the photo', async ({ page }) => {
	for (let i = 0; i < 4; i++) await app.button('Zoom in').click();
	const left = async () => (await app.place()).x;
	const start = await left();
	await page.getByRole('slider', { name: 'Brush size' }).fill('100');
	await app.stage.focus();
	await page.keyboard.press('Enter');
	for (let i = 0; i < 20; i++) await page.keyboard.press('ArrowRight');
	await page.keyboard.press('Enter');
	await expect.poll(left).toBeLessThan(start - 100);
	const stage = (await app.stage.boundingBox())!;
	const cursor = (await app.stage.locator('> div').last().boundingBox())!;
	expect(cursor.x + cursor.width / 2).toBeLessThanOrEqual(stage.x + stage.width);
	// The stroke reaches from the middle of the photo to where the brush is.
	const { width, data } = await mask();
	const painted = [260, 300, 360].map((x) => data[4 * (256 * width + x)]);
	expect(painted).toEqual([255, 255, 255]);

	const top = async () => (await app.place()).y;
	const [x, y] = [await left(), await top()];
	await page.keyboard.press('PageDown');
	await expect.poll(top).toBeLessThan(y);
	await page.keyboard.press('Shift+PageUp');
	await expect.poll(left).toBeGreaterThan(x);
});

test.describe('a finger', () => {
	test.use({ viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });

	type Kind = 'touchStart' | 'touchMove' | 'touchEnd';
	let dispatch: (type: Kind, ...points: { x: number; y: number }[]) => Promise<unknown>;

	test.beforeEach(async ({ page }) => {
		const session = await page.context().newCDPSession(page);
		dispatch = (type, ...points) =>
			session.send('Input.dispatchTouchEvent', {
				type,
				touchPoints: points.map((point, id) => ({ ...point, id }))
			});
	});

	test('sees what it covers in the magnifier, and keeps a long stroke when a second finger touches down', async ({
		page
	}) => {
		const magnifier = app.stage.locator('canvas').nth(1);
		const [from, to] = [await app.at([0.2, 0.6]), await app.at([0.6, 0.6])];
		await dispatch('touchStart', from);
		for (const at of straight(from, to).slice(1)) await dispatch('touchMove', at);
		await expect(magnifier).toBeVisible();
		// The stroke came from the left: there is paint on the left, and none on the right.
		const alphas = await magnifier.evaluate((canvas: HTMLCanvasElement) => {
			const { data } = canvas.getContext('2d')!.getImageData(0, canvas.height / 2, canvas.width, 1);
			return [0.2, 0.8].map((x) => data[4 * Math.round(x * canvas.width) + 3]);
		});
		expect(alphas).toEqual([255, 0]);
		await expect(page.getByText('Paint over what you want to remove', { exact: true }).last()).toHaveCSS(
			'opacity',
			'0'
		);
		await dispatch('touchEnd');
		await expect(magnifier).toBeHidden();
		await app.button('Undo').click();
		await expect(app.button('Undo')).toBeDisabled();

		await dispatch('touchStart', from);
		for (const at of straight(from, to).slice(1)) await dispatch('touchMove', at);
		await dispatch('touchStart', to, { x: from.x, y: from.y + 100 });
		await dispatch('touchEnd');
		await expect(app.button('Undo')).toBeEnabled();
	});

	test('closes the menu by tapping outside, and does not paint; then a tap leaves a dot', async ({ page }) => {
		await app.button('More').tap();
		await expect(app.button('Save mask')).toBeVisible();
		const { x, y } = await app.at([0.5, 0.95]); // below the menu
		await page.touchscreen.tap(x, y);
		await expect(app.button('Save mask')).toBeHidden();
		await expect(app.button('Undo')).toBeDisabled();
		await app.button('More').tap();
		await expect(app.button('Save mask')).toBeVisible();
		await app.button('More').tap();
		await expect(app.button('Save mask')).toBeHidden();
		await touch(page, [await app.at([0.5, 0.5])]);
		expect(holes(await mask())).toBeGreaterThan(50);
	});
});
