import { defineConfig } from '@playwright/test';
import { use } from './tests/browser/chromium';

/** `npm run screenshots`: the README's pictures of the page, of the real page on the real server. */
export default defineConfig({
	testDir: 'tests/screenshots',
	testMatch: 'readme.ts',
	use,
	workers: 1,
	timeout: 180_000,
	reporter: [['list']],
	outputDir: 'test-results'
});
