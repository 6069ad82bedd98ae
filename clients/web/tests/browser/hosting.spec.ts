import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { App } from './app';
import { expect, test, type Page } from './fixtures';
import { Server } from './server';
import { StaticHost } from './static-host';
import { hasJava, startTorchserve } from './torchserve';

const BUILD = fileURLToPath(new URL('../../build', import.meta.url));

/** Set the URL of the API in a built page, as `npm run build` does with `PUBLIC_API_URL`. */
async function setApi(index: string, url: string): Promise<void> {
	const built = await readFile(index, 'utf8');
	const html = built
		.replace('<meta name="inpaint-api" content="" />', `<meta name="inpaint-api" content="${url}" />`)
		.replace("connect-src 'self' blob: ;", `connect-src 'self' blob: ${url};`);
	await writeFile(index, html);
}

async function removeOnce(page: Page, url: string): Promise<App> {
	const app = await App.open(page, url);
	await app.openSample();
	await app.paint([0.27, 0.04], [0.62, 0.82]);
	await app.finished();
	const { file } = await app.saveResult();
	expect(file.subarray(8, 12).toString()).toBe('WEBP');
	return app;
}

test('the page works in a folder on any web host, with the API on another host', async ({ page }) => {
	const folder = await mkdtemp(join(tmpdir(), 'page-'));
	const host = await StaticHost.of(folder, '/tools/inpaint/');
	const server = await Server.start(['--allow-origin', new URL(host.url).origin]);
	try {
		await cp(BUILD, folder, { recursive: true });
		await setApi(join(folder, 'index.html'), server.url);
		const requested: string[] = [];
		page.on('request', (request) => requested.push(request.url()));
		await removeOnce(page, host.url);
		expect(requested).toContain(`${server.url}/predictions/inpaint`);
	} finally {
		await server.stop();
		await host.stop();
		await rm(folder, { recursive: true });
	}
});

test.describe('TorchServe on the same host as the page', () => {
	test.skip(!hasJava(), 'TorchServe needs Java');
	// It does not report its limits at /v2; Chromium logs the 404.
	test.use({ allowedMessages: [/Failed to load resource: .* 404/] });
	test.setTimeout(400_000);

	test('works as well', async ({ page }) => {
		const folder = await mkdtemp(join(tmpdir(), 'archive-'));
		const engine = await startTorchserve(folder);
		const host = await StaticHost.of(BUILD, '/', engine.url);
		try {
			const app = await removeOnce(page, host.url);
			await expect(app.button('Find marks')).toBeHidden();
		} finally {
			await host.stop();
			await engine.stop();
			await rm(folder, { recursive: true });
		}
	});
});
