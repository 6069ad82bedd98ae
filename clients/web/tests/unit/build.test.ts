import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';

const BUILD = fileURLToPath(new URL('../../build', import.meta.url));
const MAX_BYTES = 150_000;

const names = (await readdir(BUILD, { recursive: true })).filter((name) => /\.\w+$/.test(name));
const index = await readFile(join(BUILD, 'index.html'), 'utf8');

/** The sample picture, the icons of the installed page, and the files for working on the device. */
const LATER = [
	/sample[\w-]*\.[\w-]+\.webp$/,
	/icon-\w+\.png$/,
	/(model|marks|runtime)\.[\w-]+\.bin$/,
	/runtime\.[\w-]+\.js$/,
	/workers\/worker-[\w-]+\.js$/
];

test('the whole page, without what it loads later, is below 150 KB gzipped', async () => {
	const page = names.filter((name) => !LATER.some((pattern) => pattern.test(name)));
	expect(names.length - page.length).toBe(10);
	const sizes = await Promise.all(page.map(async (name) => gzipSync(await readFile(join(BUILD, name))).length));
	expect(sizes.reduce((sum, size) => sum + size)).toBeLessThan(MAX_BYTES);
});

test('without a connection the page has every file but the networks and the runtime, which are stored when used', async () => {
	const worker = await readFile(join(BUILD, 'service-worker.js'), 'utf8');
	const missing = names.filter((name) => !worker.includes(name));
	expect(missing.sort()).toEqual(['_app/version.json', 'index.html', 'service-worker.js']);
});

test('no file is too large for a Git host', async () => {
	for (const name of names) expect((await stat(join(BUILD, name))).size).toBeLessThan(95_000_000);
});

test('the page has no inline scripts, so that a policy can forbid them', () => {
	expect(index).toMatch(/<script defer src="\.\/_app\/immutable\/start\.[\w-]+\.js"><\/script>/);
	expect(index).not.toMatch(/<script>|\son\w+=/);
});

test('all files are under _app, with relative URLs, except the page and the service worker, which must be beside it', () => {
	expect(names.filter((name) => !name.startsWith('_app/')).sort()).toEqual(['index.html', 'service-worker.js']);
	expect([...index.matchAll(/\s(?:src|href)="([^"]*)"/g)].map(([, url]) => url)).toSatisfy((urls: string[]) =>
		urls.every((url) => url.startsWith('./_app/') || url.startsWith('data:'))
	);
});
