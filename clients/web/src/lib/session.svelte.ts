import { describeError, type ErrorMessage } from './api/error-messages';
import { expectedSeconds, recordSeconds, type Place } from './api/estimate';
import { fill } from './api/fill';
import { storeKey, storedKey } from './api/key';
import { serverFacts, type Limits, type ServerFacts } from './api/limits';
import { findMarks, isUnsupported } from './api/marks';
import { DEFAULT_MODEL, serverModels } from './api/models';
import { retryWhileBusy } from './api/retry';
import { UserError } from './errors';
import { newId } from './id';
import { openPhoto, releasePhoto, type Photo } from './image/photo';
import { loadSample, SAMPLE } from './image/sample';
import { DOWNLOAD_MEGABYTES, fillOnDevice, findMarksOnDevice } from './local/on-device';
import { DEFAULT_SENSITIVITY, describeSearch, type MarkSearch } from './mark-search';
import type { Brush, Tool } from './mask/brush.svelte';
import { rasterize, touches, type Mark } from './mask/edits';
import { importMask } from './mask/import-mask';
import { Mask } from './mask/mask';
import { encodeMask } from './mask/png';
import { Autosave } from './storage/autosave.svelte';
import { remember, remembered } from './storage/settings';
import { claim, isClaimed, setTabWork, tabWork, unclaim } from './storage/tab';
import { loadWork, removeWork, storedWorks } from './storage/works';
import { abandon, add, begin, hasProposal, nextJob, photosOf, propose, redo, settle, undo } from './timeline';
import type { Job, Removal, Timeline } from './timeline';
import { Work } from './work.svelte';

/** A removal in progress: uploading, running, or waiting for a busy server; on this device, loading its files. */
export type Progress =
	| { readonly phase: 'loading'; readonly fraction: number }
	| { readonly phase: 'uploading'; readonly fraction: number }
	| { readonly phase: 'filling'; readonly expectedSeconds: number }
	| { readonly phase: 'waiting'; readonly seconds: number };

type Report = (progress: Progress) => void;

/** A stored work that can be continued. */
export interface Offer {
	readonly id: string;
	readonly name: string;
	/** Object URL of its newest photo. */
	readonly url: string;
}

const LEAVE_QUESTION = "Leave this photo? This browser can't store your work on it, so it will be lost.";
const DISCARD_QUESTION = 'Discard your work on this photo?';
const ON_RELEASE = 'remove-on-release';
const MODEL = 'model';
const PLACE = 'place';
/** Opening a photo waits this long for the server's limits. Without them, the server checks it after the upload. */
const LIMITS_MS = 3000;
/** Growing and shrinking the paint moves its edge by this fraction of the photo's longer side. */
const GROW_FRACTION = 1 / 400;

/** The state of the page: the open photo, the removals in progress, and the stored works. */
export class Session {
	work: Work | null = $state.raw(null);
	offers: readonly Offer[] = $state.raw([]);
	progress: Progress | null = $state.raw(null);
	/** The search for marks whose sensitivity can be changed, or null. */
	search: MarkSearch | null = $state.raw(null);
	error: ErrorMessage | null = $state.raw(null);
	/** Something the user should know; not an error. */
	notice = $state('');
	/** What was just done, for screen readers. */
	announcement = $state('');
	opening = $state(false);
	/** The names of the server's models, the default first; none if it does not list them. */
	models: readonly string[] = $state.raw([]);
	/** Whether a server answers; null until that is known. */
	serverAnswers: boolean | null = $state(null);
	/** Whether the server finds marks; null until that is known. */
	#serverFindsMarks: boolean | null = $state(null);
	#place = $state(remembered(PLACE));
	#model = $state(remembered(MODEL));
	#onRelease = $state(remembered(ON_RELEASE) !== 'no');
	#running: { readonly removal: Removal; readonly stop: AbortController } | null = null;
	#searching: { readonly photo: Photo; readonly stop: AbortController } | null = null;
	/** Retries what the last error prevented. */
	#failed = () => this.remove();
	readonly #autosave = new Autosave();
	/** The access key for this server, '' for none. */
	#key = storedKey();

	/** Whether a stroke is removed as soon as it ends, rather than when the user presses Remove. */
	get onRelease(): boolean {
		return this.#onRelease;
	}

	set onRelease(value: boolean) {
		this.#onRelease = value;
		remember(ON_RELEASE, value ? 'yes' : 'no');
		this.notice = value
			? 'Each stroke is removed as soon as you lift the brush.'
			: 'Paint as many strokes as you like, then press Remove.';
	}

	/** The model that removals use. */
	get model(): string {
		const { models } = this;
		return (models.includes(this.#model ?? '') ? this.#model : models[0]) ?? DEFAULT_MODEL;
	}

	set model(name: string) {
		this.#model = name;
		remember(MODEL, name);
	}

	/** Where removals run: where the user chose, or on this device if no server answers. */
	get place(): Place {
		return this.#place === 'device' || this.serverAnswers === false ? 'device' : 'server';
	}

	set place(place: Place) {
		this.#place = place;
		remember(PLACE, place);
		this.closeSearch();
		this.notice =
			place === 'device'
				? `Photos now stay on this device. The first removal downloads ${DOWNLOAD_MEGABYTES} MB.`
				: 'Photos are now sent to the server.';
	}

	/** Whether marks can be found: on this device, and by every server of this contract except TorchServe. */
	get canFindMarks(): boolean {
		return this.place === 'device' || this.#serverFindsMarks === true;
	}

	/** Whether strokes are collected for the Remove button: by choice, or because there is or will be paint. */
	get collecting(): boolean {
		return !this.#onRelease || this.work?.isBlank === false || this.search?.share === null;
	}

	/** The tool to paint with: the brush instead of the eraser if there is no paint to erase. */
	tool({ tool }: Brush): Tool {
		return tool === 'eraser' && !this.collecting ? 'brush' : tool;
	}

	/** Return to the work that this tab had open before it was reloaded, or offer the stored ones. */
	async restore(): Promise<void> {
		// Early, so that opening a photo does not wait for it.
		void this.#updateModels();
		const id = tabWork();
		if (!id || !(await this.#load(id))) await this.#updateOffers();
	}

	/**
	 * Open a photo in place of the current one. The work on that one stays stored.
	 *
	 * @param ignored how many other files came with it
	 */
	async open(file: Blob, name: string, ignored = 0): Promise<void> {
		this.error = null;
		this.opening = true;
		try {
			const limits = await this.#limits();
			const photo = await openPhoto(file, name, this.place === 'server' ? limits : null);
			if (!(await this.#leave())) return releasePhoto(photo);
			const work = new Work(newId(), begin(photo));
			await claim(work.id);
			this.#show(work);
			this.notice = noticeFor(photo, ignored);
		} catch (error) {
			const unknown = new UserError("Can't open this image. Choose another one.");
			this.error = describeError(error instanceof UserError ? error : unknown);
		} finally {
			this.opening = false;
		}
	}

	async openSample(): Promise<void> {
		try {
			await this.open(await loadSample(), SAMPLE.name);
		} catch (error) {
			this.error = describeError(error);
		}
	}

	/** Open a stored work. */
	async continue(id: string): Promise<void> {
		this.error = null;
		if (await this.#load(id)) return;
		await this.#updateOffers();
		this.error = describeError(new UserError("Can't open this photo again. It may be open in another tab."));
	}

	/** Delete a stored work, after a confirmation. */
	async discard(id: string): Promise<void> {
		if (!confirm(DISCARD_QUESTION)) return;
		await removeWork(id);
		await this.#updateOffers();
	}

	/** Return to the start screen. The work on the photo stays stored. */
	async close(): Promise<void> {
		this.error = null;
		if (await this.#leave()) await this.#updateOffers();
	}

	/**
	 * Add a mark, and remove what it covers unless that is left to the Remove button.
	 *
	 * @returns false if it lies outside the photo
	 */
	mark(mark: Mark): boolean {
		const { work, collecting } = this;
		if (!work || !touches(mark, work.photo)) return false;
		this.notice = '';
		this.#set(add(work.timeline, mark));
		if (!collecting) this.remove(true);
		return true;
	}

	/** Remove what is painted. */
	remove(onRelease = false): void {
		if (!this.work) return;
		this.error = null;
		this.notice = '';
		this.#set(add(this.work.timeline, { kind: 'removal', onRelease, photo: null }));
	}

	/** Fill the transparent parts of the photo. There must be no paint. */
	fillTransparent(): void {
		if (!this.work) return;
		this.error = null;
		this.notice = '';
		this.#set(add(this.work.timeline, { kind: 'removal', onRelease: false, transparent: true, photo: null }));
	}

	/** Retry on this device what failed, and use this device for everything until the page is reloaded. */
	retryOnDevice(): void {
		this.#place = 'device';
		this.retry();
	}

	/** Try again what failed. */
	retry(): void {
		this.#failed();
	}

	/**
	 * Propose paint over scratches, dust, thin lines and pen strokes. It replaces the last proposal, but not what the user
	 * painted or erased. Marks are not searched for during a removal.
	 */
	async findMarks(sensitivity = this.search?.sensitivity ?? DEFAULT_SENSITIVITY): Promise<void> {
		const { work } = this;
		if (!work || nextJob(work.timeline)) return;
		this.#searching?.stop.abort();
		const { photo } = work;
		const stop = new AbortController();
		const { signal } = stop;
		this.#searching = { photo, stop };
		this.error = null;
		this.notice = '';
		this.#showSearch({ sensitivity, share: null, waiting: 0, loading: null });
		try {
			const mask =
				this.place === 'device'
					? await this.#marksOnDevice(photo, sensitivity, signal)
					: await this.#marksOfServer(photo, sensitivity, signal);
			if (signal.aborted) return;
			const share = mask.holes() / mask.data.length;
			this.#set(propose(work.timeline, share ? mask : null));
			this.#showSearch({ sensitivity, share, waiting: 0, loading: null });
		} catch (error) {
			if (signal.aborted) return;
			this.closeSearch();
			if (isUnsupported(error)) {
				this.#serverFindsMarks = false;
				this.notice = "This server can't find marks. Paint over what you want to remove.";
				return;
			}
			this.#failed = () => void this.findMarks(sensitivity);
			this.error = describeError(error, this.#key);
		}
	}

	/** End the search for marks. What was found stays as paint. */
	closeSearch(): void {
		this.#searching?.stop.abort();
		this.#searching = null;
		this.search = null;
	}

	/** Stop the removals in progress. Their paint stays. */
	cancel(): void {
		if (this.work) this.#set(abandon(this.work.timeline));
	}

	undo(): void {
		if (!this.work?.timeline.done.length) return;
		this.#set(undo(this.work.timeline));
		this.announcement = 'Undone';
	}

	redo(): void {
		if (!this.work?.timeline.undone.length) return;
		this.#set(redo(this.work.timeline));
		this.announcement = 'Redone';
	}

	clearPaint(): void {
		this.#replacePaint(null);
	}

	/** Move the edge of the paint outwards (1) or inwards (-1). */
	growPaint(direction: 1 | -1): void {
		if (!this.work) return;
		const { width, height } = this.work.photo;
		const pixels = Math.max(1, Math.round(GROW_FRACTION * Math.max(width, height)));
		this.#replacePaint(this.paintedMask().grown(direction * pixels));
	}

	/** Replace the paint with a mask file. */
	async importMask(file: Blob): Promise<void> {
		const work = this.work;
		if (!work) return;
		this.error = null;
		try {
			const mask = await importMask(file, work.photo);
			if (work === this.work) this.#replacePaint(mask);
		} catch (error) {
			this.error = describeError(error);
		}
	}

	/** The paint as a mask of the photo's size. */
	paintedMask(): Mask {
		if (!this.work) throw new Error('there is no photo');
		return rasterize(this.work.paint, this.work.photo);
	}

	/** Record that the photo on the screen was downloaded, shared or copied. */
	markSaved(): void {
		if (!this.work) return;
		this.work.downloaded = this.work.photo.id;
		this.#save(this.work);
	}

	/** Whether leaving the page would lose something. */
	get isAtRisk(): boolean {
		return !this.#autosave.stored && this.work?.unsaved === true;
	}

	get key(): string {
		return this.#key;
	}

	/** Try again with an access key. It is stored once the server accepts it. */
	useKey(key: string): void {
		this.#key = key.trim();
		this.retry();
	}

	async #updateModels(): Promise<void> {
		const { limits } = await this.#askServer();
		this.models = limits ? await serverModels(this.#key) : []; // TorchServe has no /v2
	}

	async #limits(): Promise<Limits | null> {
		const unknown = new Promise<null>((resolve) => setTimeout(() => resolve(null), LIMITS_MS));
		return Promise.race([this.#askServer().then(({ limits }) => limits), unknown]);
	}

	async #askServer(): Promise<ServerFacts> {
		const facts = await serverFacts();
		this.serverAnswers = facts.answers;
		// TorchServe reports no limits, and does not find marks.
		if (facts.answers) this.#serverFindsMarks ??= facts.limits !== null;
		return facts;
	}

	#showSearch(search: MarkSearch): void {
		this.search = search;
		this.announcement = describeSearch(search);
	}

	#acceptKey(): void {
		if (!this.#key || this.#key === storedKey()) return;
		storeKey(this.#key);
		void this.#updateModels();
	}

	#replacePaint(mask: Mask | null): void {
		if (this.work) this.#set(add(this.work.timeline, { kind: 'reset', mask }));
	}

	/** @returns whether another work is shown now */
	async #load(id: string): Promise<boolean> {
		const stored = (await claim(id)) ? await loadWork(id).catch(() => null) : null;
		if (!stored) this.#forget(id);
		else if (!this.work) this.#show(new Work(id, stored.timeline, stored.downloaded));
		return this.work !== null;
	}

	#show(work: Work): void {
		for (const { url } of this.offers) URL.revokeObjectURL(url);
		this.offers = [];
		this.work = work;
		this.notice = '';
		setTabWork(work.id);
		this.#set(work.timeline);
	}

	/** Replace the timeline of the open work, and update all that depends on it. */
	#set(timeline: Timeline): void {
		const { work } = this;
		if (!work) return;
		const kept = photosOf(timeline);
		for (const photo of photosOf(work.timeline)) if (!kept.includes(photo)) releasePhoto(photo);
		work.timeline = timeline;
		const takenBack = this.search?.share && !hasProposal(timeline);
		if (takenBack || work.photo !== this.#searching?.photo || nextJob(timeline)) this.closeSearch();
		if (this.#running && !timeline.done.includes(this.#running.removal)) this.#running.stop.abort();
		this.#save(work);
		void this.#runJobs();
	}

	#save({ id, timeline, downloaded, unsaved }: Work): void {
		this.#autosave.schedule({ id, timeline, downloaded, unsaved });
	}

	/** Run the removals that have no result yet, one after the other. */
	async #runJobs(): Promise<void> {
		if (this.#running) return;
		for (;;) {
			const { work } = this;
			const job = work && nextJob(work.timeline);
			if (!job) break;
			const stop = new AbortController();
			this.#running = { removal: job.removal, stop };
			try {
				const photo = await this.#result(job, work.original.name, stop.signal);
				if (stop.signal.aborted) releasePhoto(photo);
				else this.#set(settle(work.timeline, job.removal, photo));
				this.announcement = 'Removed';
			} catch (error) {
				if (!stop.signal.aborted) {
					this.cancel();
					this.#failed = () => (job.removal.transparent ? this.fillTransparent() : this.remove());
					this.error = describeError(error, this.#key);
				}
			}
		}
		this.#running = null;
		this.progress = null;
	}

	async #result(job: Job, name: string, signal: AbortSignal): Promise<Photo> {
		const report = (progress: Progress) => {
			if (!signal.aborted) this.progress = progress;
		};
		report({ phase: 'uploading', fraction: 0 });
		if (this.serverAnswers === null) await Promise.race([this.#askServer(), aborted(signal)]);
		const result =
			this.place === 'device'
				? await this.#resultOnDevice(job, name, signal, report)
				: await this.#resultOfServer(job, name, signal, report);
		return job.removal.transparent ? { ...result, alpha: false } : result;
	}

	async #resultOnDevice(job: Job, name: string, signal: AbortSignal, report: Report): Promise<Photo> {
		report({ phase: 'loading', fraction: 0 });
		const { photo } = job;
		const mask = maskOf(job)?.data ?? null;
		const pixels = photo.width * photo.height;
		let started = 0;
		const jpeg = (this.work?.original ?? photo).type === 'JPEG';
		const result = await fillOnDevice(
			{ photo: photo.file, mask, pixels, jpeg },
			{
				signal,
				onLoad: (fraction) => report({ phase: 'loading', fraction }),
				onStart: () => {
					started = performance.now();
					report({ phase: 'filling', expectedSeconds: expectedSeconds(pixels, 'device') });
				}
			}
		);
		recordSeconds(pixels, (performance.now() - started) / 1000, 'device');
		const filled = await openPhoto(result.file, name, null);
		return result.jpeg ? { ...filled, jpeg: result.jpeg } : filled;
	}

	async #resultOfServer(job: Job, name: string, signal: AbortSignal, report: Report): Promise<Photo> {
		const { photo } = job;
		const painted = maskOf(job);
		const mask = painted && (await encodeMask(painted));
		const pixels = photo.width * photo.height;
		let uploaded = 0;
		const onUpload = (fraction: number) => {
			if (fraction === 1) uploaded = performance.now();
			const done = { phase: 'filling', expectedSeconds: expectedSeconds(pixels, 'server') } as const;
			report(fraction < 1 ? { phase: 'uploading', fraction } : done);
		};
		const file = await retryWhileBusy(
			() => fill(photo.file, mask, { model: this.model, key: this.#key, signal, onUpload }),
			signal,
			(seconds) => report(seconds ? { phase: 'waiting', seconds } : { phase: 'uploading', fraction: 0 })
		);
		recordSeconds(pixels, (performance.now() - uploaded) / 1000, 'server');
		this.#acceptKey();
		return openPhoto(file, name, null);
	}

	async #marksOnDevice(photo: Photo, sensitivity: number, signal: AbortSignal): Promise<Mask> {
		const { file, id, width, height } = photo;
		const show = (loading: number | null) => (this.search = { sensitivity, share: null, waiting: 0, loading });
		const data = await findMarksOnDevice(
			{ photo: file, photoId: id, pixels: width * height, sensitivity },
			{ signal, onLoad: show, onStart: () => show(null) }
		);
		return new Mask(width, height, data);
	}

	async #marksOfServer(photo: Photo, sensitivity: number, signal: AbortSignal): Promise<Mask> {
		const file = await retryWhileBusy(
			() => findMarks(photo.file, sensitivity, { key: this.#key, signal }),
			signal,
			(waiting) => (this.search = { sensitivity, share: null, waiting, loading: null })
		);
		this.#acceptKey();
		return importMask(file, photo);
	}

	/** Close the open work. @returns false if work would be lost and the user decided to stay */
	async #leave(): Promise<boolean> {
		const { work } = this;
		if (!work) return true;
		await this.#autosave.finish();
		if (this.isAtRisk && !confirm(LEAVE_QUESTION)) return false;
		this.work = null;
		this.closeSearch();
		this.#running?.stop.abort();
		if (!work.unsaved) await removeWork(work.id).catch(() => undefined);
		for (const photo of photosOf(work.timeline)) releasePhoto(photo);
		this.#forget(work.id);
		this.notice = '';
		return true;
	}

	/** Let other tabs open a work, and do not return to it after a reload. */
	#forget(id: string): void {
		unclaim(id);
		if (tabWork() === id) setTabWork(null);
	}

	/** Offer the stored works that are not open in another tab. Those with nothing to lose are deleted. */
	async #updateOffers(): Promise<void> {
		for (const { url } of this.offers) URL.revokeObjectURL(url);
		const offers = [];
		for (const { id, name, unsaved, photo } of await storedWorks().catch(() => [])) {
			if (await isClaimed(id)) continue;
			if (unsaved) offers.push({ id, name, url: URL.createObjectURL(photo) });
			else await removeWork(id);
		}
		this.offers = offers;
	}
}

/** @returns never: the promise is rejected when the signal is aborted */
function aborted(signal: AbortSignal): Promise<never> {
	return new Promise((_, reject) => {
		signal.addEventListener('abort', () => reject(signal.reason as DOMException), { once: true });
	});
}

function noticeFor({ name, animated }: Photo, ignored: number): string {
	const notices = [];
	if (ignored === 1) notices.push(`Opened ${name}. The other file was ignored.`);
	if (ignored > 1) notices.push(`Opened ${name}. The other ${ignored} files were ignored.`);
	if (animated) notices.push('This image is animated. Only its first frame will be used.');
	return notices.join(' ');
}

/**
 * What a removal fills, or null for the transparent parts.
 *
 * @throws UserError there is nothing to fill, or nothing to fill from
 */
function maskOf({ removal, photo, paint }: Job): Mask | null {
	if (removal.transparent) return null;
	const mask = rasterize(paint, photo);
	const holes = mask.holes();
	if (holes === 0) throw new UserError('Nothing is painted yet. Paint over what you want to remove.');
	if (holes === mask.width * mask.height) {
		throw new UserError('The whole photo is covered. Leave part of it unpainted.');
	}
	return mask;
}
