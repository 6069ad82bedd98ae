import { App } from './app';
import { expect, test } from './fixtures';

const REMOVALS = 3;
/** The sample has 512 × 512 pixels. */
const PIXELS = 512 * 512;

// Chromium logs that an object URL has been revoked.
test.use({ allowedMessages: [/Failed to load resource: net::ERR_FILE_NOT_FOUND/] });

test('photos that are not on the screen are held only as files', async ({ page, server }) => {
	const app = await App.open(page, server.url);
	await app.openSample();
	const session = await page.context().newCDPSession(page);

	/** The number of live objects of a class; of byte arrays, only those of at least a photo's size. */
	async function alive(name: string): Promise<number> {
		const { result } = await session.send('Runtime.evaluate', { expression: `${name}.prototype` });
		const { objects } = await session.send('Runtime.queryObjects', { prototypeObjectId: result.objectId! });
		const { result: count } = await session.send('Runtime.callFunctionOn', {
			objectId: objects.objectId!,
			functionDeclaration: `function () { return this.filter(({ length }) => !(length < ${PIXELS})).length; }`,
			returnByValue: true
		});
		await session.send('Runtime.releaseObject', { objectId: objects.objectId! });
		return count.value as number;
	}

	async function held() {
		const names = ['Blob', 'HTMLImageElement', 'HTMLCanvasElement', 'OffscreenCanvas', 'ImageBitmap', 'Uint8Array'];
		const counts: Record<string, number> = {};
		for (const name of names) counts[name] = await alive(name);
		return counts;
	}

	const removeOnce = async (number: number) => {
		const y = 0.1 + 0.1 * number;
		await app.paint([0.1, y], [0.2, y]);
		await app.finished();
	};
	await removeOnce(0);
	const first = await held();
	for (let number = 1; number < REMOVALS; number++) await removeOnce(number);
	await expect.poll(held).toEqual({ ...first, Blob: first.Blob! + REMOVALS - 1 });
	expect([first.OffscreenCanvas, first.ImageBitmap, first.Uint8Array]).toEqual([0, 0, 0]);

	// A result that can no longer be redone is released.
	const dropped = await app.picture.getAttribute('src');
	const readable = () => page.evaluate((url) => fetch(url!).then(Boolean, () => false), dropped);
	await app.button('Undo').click();
	expect(await readable()).toBe(true);
	await removeOnce(REMOVALS);
	expect(await readable()).toBe(false);

	// So are all results when the photo is closed. The count includes the photo offered to continue with.
	await app.button('New photo').click();
	await page.getByRole('listitem').waitFor();
	await expect.poll(() => alive('Blob')).toBeLessThanOrEqual(first.Blob!);
});
