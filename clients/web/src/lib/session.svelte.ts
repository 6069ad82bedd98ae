import { withPatience } from './api/patience';
import { fill } from './api/fill';
import { storeKey, storedKey } from './api/key';
import { serverLimits } from './api/limits';
import { inPlainWords, type Trouble } from './api/plain-words';
import { UserError } from './errors';
import { filledName } from './image/names';
import { letGo, openPhoto, type Photo } from './image/photo';
import { loadSample, SAMPLE } from './image/sample';
import { add, NO_EDITS, rasterize, type Edits } from './mask/edits';
import { importMask } from './mask/import';
import { encodeMask } from './mask/png';

/** A photo as it was brought along, or as a fill left it, with what is painted on it. */
export class Version {
	edits: Edits = $state.raw(NO_EDITS);

	constructor(
		readonly photo: Photo,
		/** What it was filled from; null for the photo that was brought along. */
		readonly parent: Version | null
	) {}
}

/** A fill under way: its bytes leave, the model works, or the server has asked to wait. */
export type Work =
	| { readonly phase: 'sending'; readonly share: number }
	| { readonly phase: 'filling' }
	| { readonly phase: 'waiting'; readonly seconds: number };

const LOSS = 'Open the new photo? Your work on the one before is not saved and would be lost.';

/** Everything that happens between a photo's arrival and the start over. */
export class Session {
	versions: readonly Version[] = $state.raw([]);
	current: Version | null = $state.raw(null);
	/** Whether the current version is looked at, as the result of a fill, rather than painted on. */
	reviewing = $state(false);
	work: Work | null = $state.raw(null);
	trouble: Trouble | null = $state.raw(null);
	opening = $state(false);
	#saved: Version | null = null;
	#stop = new AbortController();
	#key = storedKey();

	/** Take a photo in place of the one there is; where that would lose something, the person is asked. */
	async open(file: Blob, name: string): Promise<void> {
		this.trouble = null;
		this.opening = true;
		try {
			const photo = await openPhoto(file, name, await serverLimits());
			if (this.isAtRisk && !confirm(LOSS)) return letGo(photo);
			this.cancel();
			for (const version of this.versions) letGo(version.photo);
			this.versions = [];
			this.#show(new Version(photo, null), false);
		} catch (error) {
			const unforeseen = new UserError('This picture cannot be opened. Choose another one.');
			this.trouble = inPlainWords(error instanceof UserError ? error : unforeseen);
		} finally {
			this.opening = false;
		}
	}

	async openSample(): Promise<void> {
		try {
			await this.open(await loadSample(), SAMPLE.name);
		} catch (error) {
			this.trouble = inPlainWords(error);
		}
	}

	/** Take a mask file in place of what is painted. */
	async importMask(file: Blob): Promise<void> {
		const version = this.current;
		if (!version) return;
		this.trouble = null;
		try {
			const mask = await importMask(file, version.photo);
			version.edits = add(version.edits, { kind: 'fresh', mask });
		} catch (error) {
			this.trouble = inPlainWords(error);
		}
	}

	/** What is painted, as a file. */
	mask(): Promise<Blob> {
		if (!this.current) throw new Error('there is no photo');
		return encodeMask(rasterize(this.current.edits, this.current.photo));
	}

	/** Have the current version's painted pixels filled, and show the result. */
	async fill(): Promise<void> {
		const version = this.current;
		if (!version || this.work) return;
		const { signal } = (this.#stop = new AbortController());
		this.trouble = null;
		this.work = { phase: 'sending', share: 0 };
		try {
			const mask = await encodedMask(version);
			const onSent = (share: number) =>
				(this.work = share < 1 ? { phase: 'sending', share } : { phase: 'filling' });
			const png = await withPatience(
				() => fill(version.photo.file, mask, { key: this.#key, signal, onSent }),
				signal,
				(seconds) => (this.work = seconds ? { phase: 'waiting', seconds } : { phase: 'sending', share: 0 })
			);
			const photo = await openPhoto(png, filledName(version.photo.name), null);
			if (signal.aborted) letGo(photo);
			else this.#show(new Version(photo, version), true);
		} catch (error) {
			if (!signal.aborted) this.trouble = inPlainWords(error);
		} finally {
			if (!signal.aborted) this.work = null;
		}
	}

	/** Take note that the current version is in safety. */
	noteSaved(): void {
		this.#saved = this.current;
	}

	/** Whether leaving would lose a result, or what is painted. */
	get isAtRisk(): boolean {
		const last = this.versions.at(-1);
		return last !== this.#saved && this.versions.some(({ edits }) => edits.done.length > 0);
	}

	cancel(): void {
		this.#stop.abort();
		this.work = null;
	}

	useKey(key: string): void {
		this.#key = key;
		storeKey(key);
		void this.fill();
	}

	/** Go to a version to paint on it; what was painted on it is still there. */
	edit(version: Version): void {
		this.trouble = null;
		this.current = version;
		this.reviewing = false;
	}

	/** Go back to choosing a photo. The versions stay until another one is opened. */
	startOver(): void {
		this.cancel();
		this.current = null;
		this.trouble = null;
	}

	#show(version: Version, reviewing: boolean): void {
		this.versions = [...this.versions, version];
		this.current = version;
		this.reviewing = reviewing;
	}
}

async function encodedMask({ edits, photo }: Version): Promise<Blob> {
	const mask = rasterize(edits, photo);
	const holes = mask.holes();
	if (holes === 0) throw new UserError('Nothing is painted yet. Paint over what should go.');
	if (holes === photo.width * photo.height) {
		throw new UserError('Everything is painted. Leave some of the photo free, to fill from.');
	}
	return encodeMask(mask);
}
