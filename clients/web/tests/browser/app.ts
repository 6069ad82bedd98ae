import { readFile } from 'node:fs/promises';
import { expect, type Download, type Locator, type Page } from '@playwright/test';

type PhotoPoint = readonly [x: number, y: number];

/** The page as a user sees it: controls are found by their labels. */
export class App {
	readonly stage: Locator;
	readonly picture: Locator;
	readonly remove: Locator;
	readonly download: Locator;
	/** Whether a stroke is removed when it ends. */
	readonly onRelease: Locator;
	readonly progress: Locator;

	/**
	 * Open the page and wait for hydration: the page then requests the server's limits.
	 *
	 * @param collecting whether strokes wait for the Remove button
	 */
	static async open(page: Page, url: string, { collecting = false } = {}): Promise<App> {
		if (collecting) await page.addInitScript(() => localStorage.setItem('inpaint-remove-on-release', 'no'));
		await Promise.all([
			page.waitForRequest((request) => new URL(request.url()).pathname.endsWith('/v2')),
			page.goto(url)
		]);
		return new App(page);
	}

	/** Use a page that is already open. */
	static on(page: Page): App {
		return new App(page);
	}

	private constructor(readonly page: Page) {
		this.stage = page.getByRole('application');
		this.picture = this.stage.locator('img').first();
		this.remove = page.getByRole('button', { name: 'Remove', exact: true });
		this.download = page.getByRole('link', { name: 'Download' });
		this.onRelease = page.getByRole('switch', { name: 'Remove right away' });
		this.progress = page.getByRole('progressbar');
	}

	button(name: string): Locator {
		return this.page.getByRole('button', { name, exact: true });
	}

	async openSample(): Promise<void> {
		await this.page.getByRole('button', { name: /Try this sample/ }).click();
		await this.picture.waitFor();
	}

	/** Reload the page once all work is stored: until then, it would ask for confirmation. */
	async reload(): Promise<void> {
		await this.stored();
		await this.page.reload();
	}

	async stored(): Promise<void> {
		const canLeave = () => dispatchEvent(new Event('beforeunload', { cancelable: true }));
		await expect.poll(() => this.page.evaluate(canLeave)).toBe(true);
	}

	/** Click Compare in no time, even on a slow machine: a longer press shows the original instead. */
	async compare(): Promise<void> {
		await this.button('Compare').evaluate((button) => {
			for (const type of ['pointerdown', 'pointerup']) {
				button.dispatchEvent(new PointerEvent(type, { bubbles: true }));
			}
			button.dispatchEvent(new MouseEvent('click', { bubbles: true, detail: 1 }));
		});
	}

	/** Wait until a result is shown and no removal is in progress. */
	async finished(): Promise<void> {
		await expect(this.progress).toHaveCount(0);
		await expect(this.download).toBeEnabled();
	}

	/** Choose an item from the menu. */
	async choosing(item: string): Promise<void> {
		await this.button('More').click();
		await this.button(item).click();
	}

	async choose(file: Buffer, name: string, mimeType = 'image/jpeg'): Promise<void> {
		await this.#choosing(/Choose a photo/, { name, mimeType, buffer: file });
	}

	/** Drop files anywhere on the page. */
	async drop(...files: (readonly [file: Buffer, name: string, type: string])[]): Promise<void> {
		await this.page.evaluate(
			(files) => {
				const dataTransfer = new DataTransfer();
				for (const [encoded, name, type] of files) {
					const bytes = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0));
					dataTransfer.items.add(new File([bytes], name, { type }));
				}
				document.body.dispatchEvent(new DragEvent('drop', { bubbles: true, cancelable: true, dataTransfer }));
			},
			files.map(([file, name, type]) => [file.toString('base64'), name, type] as const)
		);
	}

	/** Where the photo is on the screen, once it has stayed there for two frames. */
	async place(): Promise<{ x: number; y: number; width: number; height: number }> {
		const picture = await this.picture.elementHandle();
		await picture?.waitForElementState('stable');
		await picture?.dispose(); // otherwise the page could not release the photo
		const box = await this.picture.boundingBox();
		if (!box) throw new Error('no photo is shown');
		return box;
	}

	/** The screen position of a point of the photo, given as fractions of its width and height. */
	async at([x, y]: PhotoPoint): Promise<{ x: number; y: number }> {
		const box = await this.place();
		return { x: box.x + x * box.width, y: box.y + y * box.height };
	}

	/** Paint with the mouse from point to point. */
	async paint(...points: PhotoPoint[]): Promise<void> {
		const positions = await Promise.all(points.map((point) => this.at(point)));
		await this.page.mouse.move(positions[0]!.x, positions[0]!.y);
		await this.page.mouse.down();
		for (const { x, y } of positions.slice(1)) await this.page.mouse.move(x, y, { steps: 3 });
		await this.page.mouse.up();
	}

	async saveMask(): Promise<Buffer> {
		await this.button('More').click();
		return content(await this.#downloading(this.button('Save mask')));
	}

	async openMask(file: Buffer): Promise<void> {
		await this.button('More').click();
		await this.#choosing('Open mask', { name: 'mask.png', mimeType: 'image/png', buffer: file });
	}

	async saveResult(): Promise<{ name: string; file: Buffer }> {
		const download = await this.#downloading(this.download);
		return { name: download.suggestedFilename(), file: await content(download) };
	}

	async #choosing(label: string | RegExp, file: { name: string; mimeType: string; buffer: Buffer }) {
		const control = this.page.locator('label', { hasText: label });
		const [chooser] = await Promise.all([this.page.waitForEvent('filechooser'), control.click()]);
		await chooser.setFiles(file);
	}

	async #downloading(control: Locator): Promise<Download> {
		const [download] = await Promise.all([this.page.waitForEvent('download'), control.click()]);
		return download;
	}

	/** The fraction of the stage covered by paint, from the overlay's alpha values. */
	shownPaint(): Promise<number> {
		return this.stage
			.locator('canvas')
			.first()
			.evaluate((canvas: HTMLCanvasElement) => {
				const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', {
					willReadFrequently: true
				})!;
				copy.drawImage(canvas, 0, 0);
				const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
				let painted = 0;
				for (let i = 3; i < data.length; i += 4) painted += data[i]!;
				return painted / 255 / (data.length / 4);
			});
	}
}

/** A touch gesture with one finger per path. All paths must have the same number of points. */
export async function touch(page: Page, ...paths: { x: number; y: number }[][]): Promise<void> {
	const session = await page.context().newCDPSession(page);
	const points = (step: number) => paths.map((path, id) => ({ ...path[step]!, id }));
	await session.send('Input.dispatchTouchEvent', { type: 'touchStart', touchPoints: points(0) });
	for (let step = 1; step < paths[0]!.length; step++) {
		await session.send('Input.dispatchTouchEvent', { type: 'touchMove', touchPoints: points(step) });
	}
	await session.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [] });
	await session.detach();
}

export function straight(from: { x: number; y: number }, to: { x: number; y: number }, steps = 10) {
	return Array.from({ length: steps + 1 }, (_, i) => ({
		x: from.x + ((to.x - from.x) * i) / steps,
		y: from.y + ((to.y - from.y) * i) / steps
	}));
}

async function content(download: Download): Promise<Buffer> {
	return readFile(await download.path());
}
