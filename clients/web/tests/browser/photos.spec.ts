import { App } from './app';
import { expect, test } from './fixtures';
import { compare, photo, withFrames, withOrientation } from './images';
import { Server } from './server';

test.describe('a photo with an EXIF orientation', () => {
	for (const orientation of [3, 6, 8]) {
		test(`orientation ${orientation}: is shown, painted and filled upright`, async ({ page, recorder }) => {
			const app = await App.open(page, recorder.url);
			const jpeg = withOrientation(await photo(page, 640, 480), orientation);
			await app.choose(jpeg, 'IMG_0007.JPG');
			const upright = orientation === 3 ? [640, 480] : [480, 640];
			await expect(app.picture).toHaveJSProperty('naturalWidth', upright[0]);
			await app.paint([0.3, 0.3], [0.7, 0.6]);
			await app.finished();
			expect((await recorder.file('image')).equals(jpeg)).toBe(true);
			const { name, file } = await app.saveResult();
			expect(name).toBe('IMG_0007-filled.jpg');
			expect(file.readUInt16BE(0)).toBe(0xffd8);
			const { width, height, holes, changed } = await compare(page, jpeg, file, await recorder.file('mask'));
			expect([width, height]).toEqual(upright);
			expect(holes).toBeGreaterThan(500);
			// Only the blocks that the hole touches are encoded again; a rotation would change every pixel.
			expect(changed.outside).toBeLessThan(0.1 * width * height);
		});
	}
});

test('12 megapixels: every unpainted pixel is unchanged', async ({ page, recorder }) => {
	const app = await App.open(page, recorder.url);
	const png = await photo(page, 4000, 3000, 'image/png');
	await app.choose(png, 'large.png', 'image/png');
	await app.onRelease.click();
	await app.paint([0.3, 0.28], [0.5, 0.45]);
	for (const x of [0.2, 0.5]) await app.paint([x, 0.8], [x + 0.1, 0.9]);
	await app.remove.click();
	await app.finished();
	const filled = (await app.saveResult()).file;
	const { width, height, holes, changed } = await compare(page, png, filled, await recorder.file('mask'));
	expect([width, height]).toEqual([4000, 3000]);
	expect(holes).toBeGreaterThan(50_000);
	expect(changed.outside).toBe(0);
});

for (const type of ['image/webp', 'image/png', 'image/jpeg']) {
	test(`${type} can be pasted and dropped`, async ({ page, server }) => {
		const app = await App.open(page, server.url);
		const file = await photo(page, 300, 200, type);
		await page.evaluate(
			({ encoded, type }) => {
				const bytes = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0));
				const clipboardData = new DataTransfer();
				clipboardData.items.add(new File([bytes], 'picture', { type }));
				const options = { bubbles: true, cancelable: true, clipboardData };
				document.body.dispatchEvent(new ClipboardEvent('paste', options));
			},
			{ encoded: file.toString('base64'), type }
		);
		await expect(app.picture).toHaveJSProperty('naturalWidth', 300);
		await app.button('New photo').click();
		await app.drop([file, 'picture', type]);
		await expect(app.picture).toHaveJSProperty('naturalWidth', 300);
	});
}

test('of several dropped files, the first image is opened, and the page says so', async ({ page, server }) => {
	const app = await App.open(page, server.url);
	const text = [Buffer.from('text'), 'notes.txt', 'text/plain'] as const;
	await app.drop(text, [await photo(page, 300, 200), 'first.jpg', 'image/jpeg']);
	await expect(app.picture).toHaveJSProperty('naturalWidth', 300);
	const notice = page.getByRole('main').getByText('Opened first.jpg. The other file was ignored.');
	await expect(notice).toBeVisible();
	await expect(page.getByRole('status')).toHaveText('Opened first.jpg. The other file was ignored.');
	await app.paint([0.3, 0.3], [0.6, 0.6]);
	await expect(notice).toBeHidden();
});

test('an animated image is opened, and the page says that only its first frame is used', async ({ page, server }) => {
	const app = await App.open(page, server.url);
	await app.choose(withFrames(await photo(page, 300, 200, 'image/png')), 'animated.png', 'image/png');
	await expect(page.getByRole('main')).toContainText('This image is animated. Only its first frame will be used.');
	await app.button('Dismiss').click();
	await expect(page.getByRole('main')).not.toContainText('animated');
	await app.paint([0.3, 0.3], [0.6, 0.6]);
	await app.finished();
});

for (const type of ['image/jpeg', 'image/png', 'image/webp']) {
	test(`a truncated ${type} is refused when it is opened`, async ({ page, server }) => {
		const app = await App.open(page, server.url);
		const file = await photo(page, 800, 600, type);
		await app.choose(file.subarray(0, file.length - 400), 'half', type);
		await expect(page.getByRole('alert')).toContainText('This image is damaged');
	});
}

test('opening another photo starts without paint', async ({ page, server }) => {
	const app = await App.open(page, server.url);
	await app.openSampleToCollect();
	await app.paint([0.3, 0.3], [0.6, 0.6]);
	await app.drop([await photo(page, 300, 200), 'other.jpg', 'image/jpeg']);
	await expect(app.picture).toHaveJSProperty('naturalWidth', 300);
	await expect(app.button('Undo')).toBeDisabled();
});

const GIF = Buffer.from('GIF89a\x01\0\x01\0\0\0\0;', 'latin1');
const HEIC = Buffer.from('\0\0\0\x18ftypheic\0\0\0\0mif1heic', 'latin1');

for (const [what, file, words] of [
	['a GIF', GIF, 'This is a GIF file. Choose a JPEG, PNG or WebP image.'],
	['a HEIC', HEIC, 'This is a HEIC file. Choose a JPEG, PNG or WebP image.'],
	['text', Buffer.from('hello'), "This file isn't an image we can open. Choose a JPEG, PNG or WebP image."],
	['an empty file', Buffer.alloc(0), "This file isn't an image we can open"],
	['a damaged JPEG', Buffer.from('\xff\xd8\xff\xe0 broken', 'latin1'), 'This image is damaged']
] as const) {
	test(`${what} is refused with a message that says what to do`, async ({ page, server }) => {
		const app = await App.open(page, server.url);
		await app.choose(file, 'photo.jpg');
		await expect(page.getByRole('alert')).toContainText(words);
		await app.button('Dismiss').click();
		await app.openSampleToCollect();
		await app.paint([0.3, 0.3], [0.6, 0.6]);
		await app.drop([file, 'photo.jpg', 'image/jpeg']);
		await expect(page.getByRole('alert')).toContainText(words);
		await expect(app.button('Undo')).toBeEnabled();
	});
}

test("the server's limits are checked before uploading", async ({ page }) => {
	const server = await Server.start(['--max-pixels', '200000', '--max-body-bytes', '150000']);
	try {
		const app = await App.open(page, server.url);
		await app.choose(await photo(page, 600, 400), 'wide.jpg');
		await expect(page.getByRole('alert')).toContainText('This photo is 600 × 400 pixels (0.2 megapixels)');
		await app.choose(Buffer.concat([await photo(page, 300, 200), Buffer.alloc(200_000)]), 'heavy.jpg');
		await expect(page.getByRole('alert')).toContainText('This file is 0.2 MB; the limit is 0.1 MB');
		await app.choose(await photo(page, 300, 200), 'right.jpg');
		await app.picture.waitFor();
	} finally {
		await server.stop();
	}
});
