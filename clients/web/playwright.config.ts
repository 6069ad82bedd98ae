import { defineConfig } from '@playwright/test';
import { use } from './tests/browser/chromium';

/**
 * Real Chromium against the real server. Timeouts are generous: these tests do not measure speed. Animations are
 * off: they would take most of the processor while a test waits.
 */
export default defineConfig({
	testDir: 'tests/browser',
	use: { ...use, contextOptions: { reducedMotion: 'reduce' } },
	workers: 2,
	fullyParallel: true,
	timeout: 180_000,
	expect: { timeout: 60_000 },
	forbidOnly: true,
	reporter: [['list']],
	outputDir: 'test-results'
});
