import { defineConfig } from '@playwright/test';
import { use } from './tests/browser/chromium';

/** Real Chromium against the real server. Timeouts are generous: these tests do not measure speed. */
export default defineConfig({
	testDir: 'tests/browser',
	use,
	workers: 2,
	fullyParallel: true,
	timeout: 180_000,
	expect: { timeout: 60_000 },
	forbidOnly: true,
	reporter: [['list']],
	outputDir: 'test-results'
});
