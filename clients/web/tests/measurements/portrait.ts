import { App } from '../browser/app';
import { test } from '../browser/fixtures';

const ROUNDS = 5;

test('from opening the page to a clean portrait', async ({ page, server }) => {
	for (let round = 0; round < ROUNDS; round++) {
		const start = performance.now();
		const since = () => `${((performance.now() - start) / 1000).toFixed(2)} s`;
		await page.goto(server.url);
		const app = App.on(page);
		await app.openSample();
		const opened = since();
		// One stroke over the long scratch of the sample, which has 512 × 512 pixels.
		await app.paint([0.25, 0.2], [0.7, 0.75]);
		await app.finished();
		console.log(`round ${round + 1}: the portrait is open after ${opened}, clean after ${since()}`);
		await app.button('New photo').click();
	}
});
