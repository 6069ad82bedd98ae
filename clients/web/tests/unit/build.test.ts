import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';

const BUILD = fileURLToPath(new URL('../../build', import.meta.url));
const MAX_BYTES = 150_000;

const names = (await readdir(BUILD, { recursive: true })).filter((name) => /\.\w+$/.test(name));
const index = await readFile(join(BUILD, 'index.html'), 'utf8');

test('the whole page, without its sample picture, is below 150 KB gzipped', async () => {
	const page = names.filter((name) => !/sample[\w-]*\.[\w-]+\.webp$/.test(name));
	expect(names.length - page.length).toBe(2);
	const sizes = await Promise.all(page.map(async (name) => gzipSync(await readFile(join(BUILD, name))).length));
	expect(sizes.reduce((sum, size) => sum + size)).toBeLessThan(MAX_BYTES);
});

test('the page has no inline scripts, so that a policy can forbid them', () => {
	expect(index).toMatch(/<script defer src="\.\/_app\/immutable\/start\.[\w-]+\.js"><\/script>/);
	expect(index).not.toMatch(/<script>|\son\w+=/);
});

test('every other file is under _app, with relative URLs', () => {
	expect(names.filter((name) => !name.startsWith('_app/'))).toEqual(['index.html']);
	expect([...index.matchAll(/\s(?:src|href)="([^"]*)"/g)].map(([, url]) => url)).toSatisfy((urls: string[]) =>
		urls.every((url) => url.startsWith('./_app/') || url.startsWith('data:'))
	);
});
