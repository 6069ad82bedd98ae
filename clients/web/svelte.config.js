import adapter from '@sveltejs/adapter-static';
import { portable } from './scripts/portable.js';

/** @type {import('@sveltejs/kit').Config} */
export default {
	kit: {
		adapter: portable(adapter(), 'build'),
		output: { bundleStrategy: 'single' }
	},
	compilerOptions: { runes: true }
};
