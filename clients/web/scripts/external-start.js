import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const INLINE_SCRIPT = /<script>([^]*?)<\/script>/g;
const ASSETS = '_app/immutable/';

/**
 * Wrap an adapter so that `index.html` loads its start-up script from a file: the page then works under a
 * Content-Security-Policy of `script-src 'self'`, whoever sends that header.
 *
 * @param {import('@sveltejs/kit').Adapter} adapter
 * @param {string} folder where the adapter writes the build
 * @returns {import('@sveltejs/kit').Adapter}
 */
export function withoutInlineScript(adapter, folder) {
	return {
		...adapter,
		async adapt(builder) {
			await adapter.adapt(builder);
			const page = join(folder, 'index.html');
			const html = await readFile(page, 'utf8');
			const [script, ...others] = [...html.matchAll(INLINE_SCRIPT)];
			if (!script || others.length) throw new Error(`${page}: one inline script was expected`);
			// The script names the others relative to the page; from now on it lies beside them.
			const code = script[1].replaceAll(`./${ASSETS}`, './');
			const hash = createHash('sha256').update(code).digest('base64url').slice(0, 8);
			const name = `${ASSETS}start.${hash}.js`;
			await writeFile(join(folder, name), code);
			await writeFile(page, html.replace(script[0], `<script defer src="./${name}"></script>`));
		}
	};
}
