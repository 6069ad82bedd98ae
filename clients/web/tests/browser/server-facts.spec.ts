import { App } from './app';
import { expect, test } from './fixtures';

test('one of several models can be chosen, and the choice is remembered', async ({ page, startServer }) => {
	const model = 'models/inpaint-int8.onnx';
	const server = await startServer('--model', `inpaint=${model}`, '--model', `second=${model}`);
	const app = await App.open(page, server.url);
	await app.openSample();
	const removal = (model: string) => page.waitForRequest(`**/predictions/${model}`);
	await Promise.all([removal('inpaint'), app.paint([0.27, 0.04], [0.62, 0.82])]);
	await app.finished();
	await app.button('More').click();
	await expect(app.button('inpaint')).toHaveAttribute('aria-pressed', 'true');
	await app.button('second').click();
	const [request] = await Promise.all([removal('second'), app.paint([0.7, 0.1], [0.88, 0.3])]);
	await app.finished();
	expect((await request.response())?.status()).toBe(200);
	await app.reload();
	await app.button('More').click();
	await expect(app.button('second')).toHaveAttribute('aria-pressed', 'true');
});

test('a long removal shows an estimate of the time left', async ({ page, recorder }) => {
	await page.addInitScript(() => localStorage.setItem('inpaint-seconds-per-megapixel', '3600'));
	const app = await App.open(page, recorder.url);
	await app.openSample();
	recorder.pause();
	await app.paint([0.27, 0.04], [0.62, 0.82]);
	await expect(page.getByText(/^Removing… about 3\d\d\d s left$/)).toBeVisible();
	recorder.resume();
	await app.finished();
	// The next estimate takes this removal into account.
	const rate = await page.evaluate(() => Number(localStorage.getItem('inpaint-seconds-per-megapixel')));
	expect(rate).toBeLessThan(3600);
});
