import adapter from '@sveltejs/adapter-static';
import { portable } from './scripts/portable.js';

const folder = process.env.BUILD_FOLDER ?? 'build';

/** @type {import('@sveltejs/kit').Config} */
export default {
	kit: {
		adapter: portable(adapter({ pages: folder, assets: folder }), folder),
		output: { bundleStrategy: 'single' },
		typescript: {
			/** @param {Record<string, string[]>} config */
			config({ include }) {
				include?.push('../*.js', '../*.ts', '../scripts/*.js'); // the configuration files and scripts, too
			}
		}
	},
	compilerOptions: { runes: true }
};
