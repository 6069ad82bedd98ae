import { defineConfig } from '@playwright/test';
import { use } from './tests/browser/chromium';

/** `npm run screenshots`: make the README's screenshots of the page. */
export default defineConfig({
	testDir: 'tests/screenshots',
	testMatch: 'readme.ts',
	use,
	workers: 1,
	timeout: 180_000,
	reporter: [['list']],
	outputDir: 'test-results'
});
