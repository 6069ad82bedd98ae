/** Make the icons of the installed page from src/lib/assets/icon.svg: `node scripts/icons.js` */
import { readFile } from 'node:fs/promises';
import { chromium } from '@playwright/test';

const drawing = await readFile(new URL('../src/lib/assets/icon.svg', import.meta.url), 'utf8');
const ICONS = [
	{ name: 'icon-192', side: 192, whole: false },
	{ name: 'icon-512', side: 512, whole: false },
	// Operating systems crop this one to a shape of their own.
	{ name: 'icon-maskable', side: 512, whole: true }
];

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
for (const { name, side, whole } of ICONS) {
	const page = await browser.newPage({ viewport: { width: side, height: side } });
	const svg = drawing.replace('<svg ', `<svg width="${side}" height="${side}" style="display: block" `);
	await page.setContent(`<body style="margin: 0">${whole ? svg.replace('rx="6"', '') : svg}`);
	const path = new URL(`../static/_app/${name}.png`, import.meta.url).pathname;
	await page.screenshot({ path, omitBackground: true });
}
await browser.close();
