import { retryWhileBusy } from './api/retry';
import { fill } from './api/fill';
import { storeKey, storedKey } from './api/key';
import { serverLimits } from './api/limits';
import { describeError, type ErrorMessage } from './api/error-messages';
import { UserError } from './errors';
import { filledName } from './image/file-names';
import { releasePhoto, openPhoto, type Photo } from './image/photo';
import { loadSample, SAMPLE } from './image/sample';
import { add, NO_EDITS, rasterize, type Edits } from './mask/edits';
import { importMask } from './mask/import-mask';
import { encodeMask } from './mask/png';

/** A photo as the user opened it, or the result of a fill, with the paint on it. */
export class Version {
	edits: Edits = $state.raw(NO_EDITS);

	constructor(
		readonly photo: Photo,
		/** The version it was filled from; null for the photo that the user opened. */
		readonly parent: Version | null
	) {}
}

/** A fill in progress: uploading, running, or waiting for a busy server. */
export type Progress =
	| { readonly phase: 'uploading'; readonly fraction: number }
	| { readonly phase: 'filling' }
	| { readonly phase: 'waiting'; readonly seconds: number };

const DISCARD_QUESTION = 'Open the new photo? Your unsaved work on this one will be lost.';

/** The state of the page: the open photo, its versions, and the fill in progress. */
export class Session {
	versions: readonly Version[] = $state.raw([]);
	current: Version | null = $state.raw(null);
	/** Whether the current version is shown as a result, to compare and download, rather than in the editor. */
	reviewing = $state(false);
	progress: Progress | null = $state.raw(null);
	error: ErrorMessage | null = $state.raw(null);
	/** Something the user should know about the opened photo; not an error. */
	notice = $state('');
	opening = $state(false);
	#saved: Version | null = null;
	#stop = new AbortController();
	/** The access key for this server, '' for none. */
	#key = storedKey();

	/**
	 * Open a photo in place of the current one, after a confirmation if that would discard unsaved work.
	 *
	 * @param ignored how many other files came with it
	 */
	async open(file: Blob, name: string, ignored = 0): Promise<void> {
		this.error = null;
		this.opening = true;
		try {
			const photo = await openPhoto(file, name, await serverLimits());
			if (this.hasUnsavedWork && !confirm(DISCARD_QUESTION)) return releasePhoto(photo);
			this.cancel();
			for (const version of this.versions) releasePhoto(version.photo);
			this.versions = [];
			this.#show(new Version(photo, null), false);
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

	/** Replace the paint with a mask file. */
	async importMask(file: Blob): Promise<void> {
		const version = this.current;
		if (!version) return;
		this.error = null;
		try {
			const mask = await importMask(file, version.photo);
			version.edits = add(version.edits, { kind: 'reset', mask });
		} catch (error) {
			this.error = describeError(error);
		}
	}

	/** The painted mask as a PNG file. */
	mask(): Promise<Blob> {
		if (!this.current) throw new Error('there is no photo');
		return encodeMask(rasterize(this.current.edits, this.current.photo));
	}

	/** Fill the painted pixels of the current version, and show the result. */
	async fill(): Promise<void> {
		const version = this.current;
		if (!version || this.progress) return;
		const { signal } = (this.#stop = new AbortController());
		this.error = null;
		this.notice = '';
		this.progress = { phase: 'uploading', fraction: 0 };
		try {
			const mask = await encodedMask(version);
			const onUpload = (fraction: number) =>
				(this.progress = fraction < 1 ? { phase: 'uploading', fraction } : { phase: 'filling' });
			const png = await retryWhileBusy(
				() => fill(version.photo.file, mask, { key: this.#key, signal, onUpload }),
				signal,
				(seconds) =>
					(this.progress = seconds ? { phase: 'waiting', seconds } : { phase: 'uploading', fraction: 0 })
			);
			const photo = await openPhoto(png, filledName(version.photo.name), null);
			if (this.#key) storeKey(this.#key);
			if (signal.aborted) releasePhoto(photo);
			else this.#show(new Version(photo, version), true);
		} catch (error) {
			if (!signal.aborted) this.error = describeError(error, this.#key);
		} finally {
			if (!signal.aborted) this.progress = null;
		}
	}

	/** Record that the current version was downloaded or shared. */
	markSaved(): void {
		this.#saved = this.current;
	}

	/** Whether leaving the page would lose a result or paint. */
	get hasUnsavedWork(): boolean {
		const last = this.versions.at(-1);
		return last !== this.#saved && this.versions.some(({ edits }) => edits.done.length > 0);
	}

	cancel(): void {
		this.#stop.abort();
		this.progress = null;
	}

	get key(): string {
		return this.#key;
	}

	/** Retry with an access key. It is stored once the server accepts it. */
	useKey(key: string): void {
		this.#key = key.trim();
		void this.fill();
	}

	/** Open a version in the editor, with the paint that is on it. */
	edit(version: Version): void {
		this.error = null;
		this.current = version;
		this.reviewing = false;
	}

	/** Return to the start screen. The versions are kept until another photo is opened. */
	newPhoto(): void {
		this.cancel();
		this.current = null;
		this.error = null;
	}

	#show(version: Version, reviewing: boolean): void {
		this.versions = [...this.versions, version];
		this.current = version;
		this.reviewing = reviewing;
	}
}

function noticeFor({ name, animated }: Photo, ignored: number): string {
	const notices = [];
	if (ignored === 1) notices.push(`Opened ${name}. The other file was ignored.`);
	if (ignored > 1) notices.push(`Opened ${name}. The other ${ignored} files were ignored.`);
	if (animated) notices.push('This image is animated. Only its first frame will be used.');
	return notices.join(' ');
}

async function encodedMask({ edits, photo }: Version): Promise<Blob> {
	const mask = rasterize(edits, photo);
	const holes = mask.holes();
	if (holes === 0) throw new UserError('Nothing is painted yet. Paint over what you want to remove.');
	if (holes === photo.width * photo.height) {
		throw new UserError('The whole photo is covered. Leave part of it unpainted.');
	}
	return encodeMask(mask);
}
