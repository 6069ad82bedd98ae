import adapter from '@sveltejs/adapter-static';
import { withoutInlineScript } from './scripts/external-start.js';

/** @type {import('@sveltejs/kit').Config} */
export default {
	kit: {
		adapter: withoutInlineScript(adapter(), 'build'),
		output: { bundleStrategy: 'single' }
	},
	compilerOptions: { runes: true }
};
