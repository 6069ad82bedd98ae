import { App } from './app';
import { expect, test, type Page } from './fixtures';
import { photo } from './images';

/** Open the sample, remove one scratch and paint over another one. */
async function worked(page: Page, url: string): Promise<{ app: App; result: Buffer; paint: Buffer }> {
	const app = await App.open(page, url);
	await app.openSample();
	await app.paint([0.27, 0.04], [0.62, 0.82]);
	await app.finished();
	await app.onRelease.click();
	await app.paint([0.7, 0.1], [0.88, 0.3]);
	return { app, result: (await app.saveResult()).file, paint: await app.saveMask() };
}

async function expectRestored({ app, result, paint }: Awaited<ReturnType<typeof worked>>): Promise<void> {
	await app.picture.waitFor();
	expect((await app.saveResult()).file.equals(result)).toBe(true);
	expect((await app.saveMask()).equals(paint)).toBe(true);
}

test('the photo, its paint and its history survive a reload, leaving and returning', async ({ page, server }) => {
	const work = await worked(page, server.url);
	await work.app.reload();
	await expectRestored(work);
	await work.app.stored();
	await page.goto('about:blank');
	await page.goBack();
	await expectRestored(work);
	await work.app.button('Undo').click();
	await work.app.button('Undo').click();
	await expect(work.app.download).toBeDisabled();
	await work.app.reload();
	await work.app.button('Redo').click();
	expect((await work.app.saveResult()).file.equals(work.result)).toBe(true);
	// Closing the tab loses nothing, so the page does not ask.
	await Promise.all([page.waitForEvent('close'), page.close({ runBeforeUnload: true })]);
});

test('a removal interrupted by a reload is run again', async ({ page, recorder }) => {
	const app = await App.open(page, recorder.url);
	await app.openSample();
	recorder.pause();
	await app.paint([0.27, 0.04], [0.62, 0.82]);
	await expect.poll(() => recorder.forms.length).toBe(1);
	await app.reload();
	await expect.poll(() => recorder.forms.length).toBe(2);
	recorder.resume();
	await app.finished();
});

test('a reloaded tab waits for the lock of its former page, and a copy of the tab starts without the photo', async ({
	page,
	context,
	server
}) => {
	const app = await App.open(page, server.url);
	await app.openSample();
	await app.paint([0.27, 0.04], [0.4, 0.2]);
	await app.finished();
	await app.stored();

	// During the reload, a page that does not answer, as if it were gone, takes the lock.
	const former = await context.newPage();
	await former.goto(server.url);
	await former.evaluate(async () => {
		const name = 'inpaint-work-';
		const lock = (await navigator.locks.query()).held?.find((each) => each.name?.startsWith(name));
		void navigator.locks.request(lock!.name!, () => new Promise((free) => Object.assign(window, { free })));
	});
	await page.reload();
	const waiting = () => former.evaluate(async () => (await navigator.locks.query()).pending?.length);
	await expect.poll(waiting).toBe(1);
	await expect(page.getByRole('button', { name: /Try this sample/ })).toBeVisible();
	await former.evaluate(() => (window as unknown as { free: () => void }).free());
	await app.picture.waitFor();

	// A copy of a tab also has a copy of its session storage.
	const [copy] = await Promise.all([
		context.waitForEvent('page'),
		page.evaluate(() => void window.open(location.href))
	]);
	await copy.waitForFunction(() => sessionStorage.getItem('inpaint-work') === null);
	await expect(copy.getByRole('button', { name: /Try this sample/ })).toBeVisible();
	await expect(copy.getByRole('listitem')).toHaveCount(0);
	await page.close();
	const held = () => copy.evaluate(async () => (await navigator.locks.query()).held?.length);
	await expect.poll(held).toBe(0);
	await copy.reload();
	await expect(copy.getByRole('listitem')).toHaveCount(1);
});

test('stored work is offered on the start page until it is discarded', async ({ page, context, server }) => {
	const work = await worked(page, server.url);
	const { app } = work;
	await app.button('New photo').click();
	await expect(page.getByRole('heading', { name: 'Remove marks from a photo' })).toBeFocused();
	await app.choose(await photo(page, 300, 200), 'other.jpg');
	await expect(app.picture).toHaveJSProperty('naturalWidth', 300);
	// Another tab is offered what is not open here.
	const other = await context.newPage();
	await other.goto(server.url);
	await expect(other.getByRole('listitem')).toHaveText(['Continue with astronaut.webp']);
	await other.close();

	// A photo without any changes is not kept.
	await app.button('New photo').click();
	await expect(page.getByRole('listitem')).toHaveCount(1);
	await page.getByRole('button', { name: 'Continue with astronaut.webp' }).click();
	await expectRestored(work);

	await app.button('New photo').click();
	const discard = async (answer: 'accept' | 'dismiss') => {
		page.once('dialog', (question) => void question[answer]());
		await app.button('Discard astronaut.webp').click();
	};
	await discard('dismiss');
	await expect(page.getByRole('listitem')).toHaveCount(1);
	await discard('accept');
	await expect(page.getByRole('listitem')).toHaveCount(0);
	await page.reload();
	await expect(page.getByRole('button', { name: /Try this sample/ })).toBeVisible();
	await expect(page.getByRole('listitem')).toHaveCount(0);
});

test('a downloaded result is not offered again', async ({ page, server }) => {
	const app = await App.open(page, server.url);
	await app.openSample();
	await app.paint([0.27, 0.04], [0.62, 0.82]);
	await app.finished();
	await app.saveResult();
	await app.button('New photo').click();
	await expect(page.getByRole('heading', { name: 'Remove marks from a photo' })).toBeFocused();
	await page.reload();
	await expect(page.getByRole('button', { name: /Try this sample/ })).toBeVisible();
	await expect(page.getByRole('listitem')).toHaveCount(0);
});

test('where the browser stores nothing, the page asks before work is lost', async ({ page, server }) => {
	await page.addInitScript(() => {
		IDBFactory.prototype.open = () => {
			throw new DOMException('storage is disabled', 'SecurityError');
		};
	});
	const app = await App.open(page, server.url, { collecting: true });
	await app.openSample();
	await app.paint([0.3, 0.3], [0.6, 0.6]);
	const question = page.waitForEvent('dialog');
	await page.close({ runBeforeUnload: true });
	expect((await question).type()).toBe('beforeunload');
	await (await question).dismiss();

	const answered = async (answer: 'accept' | 'dismiss') => {
		const question = page.waitForEvent('dialog');
		await app.drop([await photo(page, 300, 200), 'other.jpg', 'image/jpeg']);
		expect((await question).message()).toContain("can't store your work");
		await (await question)[answer]();
	};
	await answered('dismiss');
	await expect(app.button('Undo')).toBeEnabled();
	await answered('accept');
	await expect(app.picture).toHaveJSProperty('naturalWidth', 300);
	// A photo without work on it can be left.
	await Promise.all([page.waitForEvent('close'), page.close({ runBeforeUnload: true })]);
});
