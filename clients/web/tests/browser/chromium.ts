import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { PlaywrightTestOptions, PlaywrightWorkerOptions } from '@playwright/test';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'chrome'];

/** The installed browser, or the one given by the environment variable CHROMIUM. */
function executable(): string {
	const folders = (process.env.PATH ?? '').split(delimiter);
	const found = NAMES.flatMap((name) => folders.map((folder) => join(folder, name))).find((path) => {
		try {
			accessSync(path, constants.X_OK);
			return true;
		} catch {
			return false;
		}
	});
	const path = process.env.CHROMIUM ?? found;
	if (!path) throw new Error('These tests need Chromium (Debian: apt-get install chromium), or CHROMIUM=path.');
	return path;
}

export const use: Partial<PlaywrightTestOptions & PlaywrightWorkerOptions> = {
	launchOptions: {
		executablePath: executable(),
		args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking']
	}
};
