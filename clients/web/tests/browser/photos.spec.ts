import { App } from './app';
import { expect, test } from './fixtures';
import { compare, decode, photo, withFrames, withOrientation } from './images';

test('photos with an EXIF orientation are shown, painted and filled upright', async ({ page, recorder }) => {
	const app = await App.open(page, recorder.url);
	for (const [orientation, width, height] of [
		[3, 640, 480],
		[6, 600, 440],
		[8, 560, 400]
	] as const) {
		const jpeg = withOrientation(await photo(page, width, height), orientation);
		await app.drop([jpeg, 'IMG_0007.JPG', 'image/jpeg']);
		const upright = orientation === 3 ? [width, height] : [height, width];
		await expect(app.picture).toHaveJSProperty('naturalWidth', upright[0]);
		await app.paint([0.3, 0.3], [0.7, 0.6]);
		await app.finished();
		expect((await recorder.file('image')).equals(jpeg)).toBe(true);
		const { name, file } = await app.saveResult();
		expect(name).toBe('IMG_0007-filled.jpg');
		expect(file.readUInt16BE(0)).toBe(0xffd8);
		const result = await compare(page, jpeg, file, await recorder.file('mask'));
		expect([result.width, result.height]).toEqual(upright);
		expect(result.holes).toBeGreaterThan(500);
		// Only the blocks that the hole touches are encoded again; a rotation would change every pixel.
		expect(result.changed.outside).toBeLessThan(0.1 * width * height);
	}
});

test('a large photo: every unpainted pixel is unchanged', async ({ page, recorder }) => {
	const app = await App.open(page, recorder.url, { collecting: true });
	const png = await photo(page, 2600, 1950, 'image/png');
	await app.choose(png, 'large.png', 'image/png');
	await app.paint([0.3, 0.28], [0.5, 0.45]);
	for (const x of [0.2, 0.5]) await app.paint([x, 0.8], [x + 0.1, 0.9]);
	await app.remove.click();
	await app.finished();
	const filled = (await app.saveResult()).file;
	const { width, height, holes, changed } = await compare(page, png, filled, await recorder.file('mask'));
	expect([width, height]).toEqual([2600, 1950]);
	expect(holes).toBeGreaterThan(20_000);
	expect(changed.outside).toBe(0);
});

test('the transparent parts of a photo are filled without paint', async ({ page, recorder }) => {
	const app = await App.open(page, recorder.url);
	const encoded = await page.evaluate(async () => {
		const canvas = new OffscreenCanvas(320, 200);
		const context = canvas.getContext('2d')!;
		context.fillStyle = '#7fa3c7';
		context.fillRect(0, 0, 320, 200);
		context.clearRect(150, 50, 20, 100);
		const bytes = new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer());
		return btoa(String.fromCharCode(...bytes));
	});
	const png = Buffer.from(encoded, 'base64');
	await app.choose(png, 'cut-out.png', 'image/png');
	await app.picture.waitFor();
	await app.choosing('Fill transparent parts');
	await app.finished();
	expect(recorder.forms.map((form) => [...form.keys()])).toEqual([['image']]);
	const { data } = await decode(page, (await app.saveResult()).file);
	const before = await decode(page, png);
	expect(data.filter((value, i) => i % 4 === 3 && value !== 255)).toHaveLength(0);
	const changed = data.filter((value, i) => before.data[i | 3] === 255 && value !== before.data[i]);
	expect(changed).toHaveLength(0);
	// There is nothing left to fill.
	await app.button('More').click();
	await expect(app.button('Save mask')).toBeVisible();
	await expect(app.button('Fill transparent parts')).toBeHidden();
});

test('photos can be pasted and dropped, and start without paint', async ({ page, server }) => {
	const app = await App.open(page, server.url, { collecting: true });
	const paste = (file: Buffer, type: string) =>
		page.evaluate(
			({ encoded, type }) => {
				const bytes = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0));
				const clipboardData = new DataTransfer();
				clipboardData.items.add(new File([bytes], 'picture', { type }));
				const options = { bubbles: true, cancelable: true, clipboardData };
				document.body.dispatchEvent(new ClipboardEvent('paste', options));
			},
			{ encoded: file.toString('base64'), type }
		);
	for (const [i, type] of ['image/webp', 'image/png', 'image/jpeg'].entries()) {
		const width = 300 + 20 * i;
		await paste(await photo(page, width, 200, type), type);
		await expect(app.picture).toHaveJSProperty('naturalWidth', width);
		await app.paint([0.3, 0.3], [0.6, 0.6]);
		await expect(app.button('Undo')).toBeEnabled();
		await app.drop([await photo(page, width + 10, 200, type), 'picture', type]);
		await expect(app.picture).toHaveJSProperty('naturalWidth', width + 10);
		await expect(app.button('Undo')).toBeDisabled();
	}
});

test('the page says which files and frames it ignores', async ({ page, server }) => {
	const app = await App.open(page, server.url);
	const text = [Buffer.from('text'), 'notes.txt', 'text/plain'] as const;
	await app.drop(text, [await photo(page, 300, 200), 'first.jpg', 'image/jpeg']);
	const notice = page.getByRole('main').getByText('Opened first.jpg. The other file was ignored.');
	await expect(notice).toBeVisible();
	await expect(page.getByRole('status')).toHaveText('Opened first.jpg. The other file was ignored.');
	await app.paint([0.3, 0.3], [0.6, 0.6]);
	await expect(notice).toBeHidden();
	await app.finished();

	await app.drop([withFrames(await photo(page, 300, 200, 'image/png')), 'animated.png', 'image/png']);
	await expect(page.getByRole('main')).toContainText('This image is animated. Only its first frame will be used.');
	await app.button('Dismiss').click();
	await expect(page.getByRole('main')).not.toContainText('animated');
	await app.paint([0.3, 0.3], [0.6, 0.6]);
	await app.finished();
});

const GIF = Buffer.from('GIF89a\x01\0\x01\0\0\0\0;', 'latin1');
const TEXT = Buffer.from('hello');
const HEIC = Buffer.from('\0\0\0\x18ftypheic\0\0\0\0mif1heic', 'latin1');

test('other files are refused with a message that says what to do', async ({ page, server }) => {
	const cut = async (type: string) => (await photo(page, 800, 600, type)).subarray(0, -400);
	const app = await App.open(page, server.url);
	for (const [what, file, words] of [
		['a GIF', GIF, 'This is a GIF file. Choose a JPEG, PNG or WebP image.'],
		['a HEIC', HEIC, 'This is a HEIC file. Choose a JPEG, PNG or WebP image.'],
		['text', TEXT, "This file isn't an image we can open. Choose a JPEG, PNG or WebP image."],
		['an empty file', Buffer.alloc(0), "This file isn't an image we can open"],
		['a damaged JPEG', Buffer.from('\xff\xd8\xff\xe0 broken', 'latin1'), 'This image is damaged'],
		['a truncated JPEG', await cut('image/jpeg'), 'This image is damaged'],
		['a truncated PNG', await cut('image/png'), 'This image is damaged'],
		['a truncated WebP', await cut('image/webp'), 'This image is damaged']
	] as const) {
		await test.step(what, async () => {
			await app.choose(file, 'photo.jpg');
			await expect(page.getByRole('alert')).toContainText(words);
			await app.button('Dismiss').click();
			await expect(page.getByRole('alert')).toBeHidden();
		});
	}
	// A result survives a refused file.
	await app.openSample();
	await app.paint([0.27, 0.04], [0.4, 0.2]);
	await app.finished();
	await app.drop([TEXT, 'photo.jpg', 'image/jpeg']);
	await expect(page.getByRole('alert')).toContainText("This file isn't an image we can open");
	await app.button('Dismiss').click();
	await expect(app.download).toBeEnabled();
	await expect(app.button('Undo')).toBeEnabled();
});
