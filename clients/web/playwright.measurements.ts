import { defineConfig } from '@playwright/test';
import { use } from './tests/browser/chromium';

/** `npm run measure`: print the figures that README.md gives for the page. */
export default defineConfig({
	testDir: 'tests/measurements',
	testMatch: '*.ts',
	use,
	workers: 1,
	timeout: 1_800_000,
	expect: { timeout: 300_000 },
	reporter: [['list']],
	outputDir: 'test-results'
});
