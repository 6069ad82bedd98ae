import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const INLINE_SCRIPT = /<script>([^]*?)<\/script>/g;
const ASSETS = '_app/immutable/';

/**
 * Wrap an adapter so that its build works on any host, in any folder, with any Content-Security-Policy that allows
 * `script-src 'self'`: `index.html` loads its start-up script from a file, and all its URLs are relative. The service
 * worker is told the name of that script.
 *
 * @param {import('@sveltejs/kit').Adapter} adapter
 * @param {string} folder where the adapter writes the build
 * @returns {import('@sveltejs/kit').Adapter}
 */
export function portable(adapter, folder) {
	return {
		...adapter,
		async adapt(builder) {
			await adapter.adapt(builder);
			const page = join(folder, 'index.html');
			const html = await readFile(page, 'utf8');
			const [script, ...others] = [...html.matchAll(INLINE_SCRIPT)];
			if (!script?.[1] || others.length) throw new Error(`${page}: expected exactly one inline script`);
			// The script's imports are relative to the page; it now lies in the same folder as the files it imports.
			const code = script[1].replaceAll(`./${ASSETS}`, './');
			const hash = createHash('sha256').update(code).digest('base64url').slice(0, 8);
			const name = `${ASSETS}start.${hash}.js`;
			await writeFile(join(folder, name), code);
			const tag = `<script defer src="./${name}"></script>`;
			await writeFile(page, html.replace(script[0], tag).replaceAll(`"/${ASSETS}`, `"./${ASSETS}`));
			const worker = join(folder, 'service-worker.js');
			await writeFile(worker, `globalThis.START_UP = ["./${name}"];\n${await readFile(worker, 'utf8')}`);
		}
	};
}
