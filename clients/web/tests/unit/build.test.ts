import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';

const BUILD = fileURLToPath(new URL('../../build', import.meta.url));
const MOST_BYTES = 150_000;

const names = (await readdir(BUILD, { recursive: true })).filter((name) => /\.\w+$/.test(name));
const index = await readFile(join(BUILD, 'index.html'), 'utf8');

test('the whole page, without its sample picture, is below 150 KB gzipped', async () => {
	const page = names.filter((name) => !/sample[\w-]*\.[\w-]+\.webp$/.test(name));
	expect(names.length - page.length).toBe(2);
	const sizes = await Promise.all(page.map(async (name) => gzipSync(await readFile(join(BUILD, name))).length));
	expect(sizes.reduce((sum, size) => sum + size)).toBeLessThan(MOST_BYTES);
});

test('no script stands in the page itself, so that a policy may forbid it', () => {
	expect(index).toMatch(/<script defer src="\.\/_app\/immutable\/start\.[\w-]+\.js"><\/script>/);
	expect(index).not.toMatch(/<script>|\son\w+=/);
});

test('everything but the page itself lies under _app, named relative to the page', () => {
	expect(names.filter((name) => !name.startsWith('_app/'))).toEqual(['index.html']);
	expect([...index.matchAll(/\s(?:src|href)="([^"]*)"/g)].map(([, url]) => url)).toSatisfy((urls: string[]) =>
		urls.every((url) => url.startsWith('./_app/') || url.startsWith('data:'))
	);
});
