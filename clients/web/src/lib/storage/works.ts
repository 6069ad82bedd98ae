/** The photos being worked on, with their whole history, in IndexedDB. */

import { openDB, type DBSchema, type IDBPDatabase } from 'idb';
import { newId } from '../id';
import type { Photo } from '../image/photo';
import { Mask } from '../mask/mask';
import type { Mark, Proposal, Reset } from '../mask/edits';
import { photoOf, photosOf, type Entry, type Removal, type Timeline } from '../timeline';

/** What is stored of a work. */
export interface Snapshot {
	readonly id: string;
	readonly timeline: Timeline;
	readonly downloaded: string;
	readonly unsaved: boolean;
}

export interface Summary {
	readonly id: string;
	readonly name: string;
	readonly unsaved: boolean;
	/** The newest photo. */
	readonly photo: Blob;
}

type StoredPhoto = Omit<Photo, 'file' | 'jpeg' | 'url'>;
type StoredMask = Pick<Mask, 'width' | 'height'> & { readonly id: string };

/** Files and masks are stored once, by their key; everything else is small and written with every change. */
type StoredEntry =
	| Mark
	| (Omit<Proposal, 'mask'> & { mask: StoredMask })
	| (Omit<Reset, 'mask'> & { mask: StoredMask | null })
	| (Omit<Removal, 'photo'> & { photo: StoredPhoto | null });

interface StoredWork {
	readonly id: string;
	readonly changed: number;
	readonly unsaved: boolean;
	readonly downloaded: string;
	readonly original: StoredPhoto;
	/** The key of the newest photo. */
	readonly newest: string;
	readonly done: readonly StoredEntry[];
	readonly undone: readonly StoredEntry[];
}

interface Schema extends DBSchema {
	works: { key: string; value: StoredWork };
	files: { key: [work: string, id: string]; value: Blob };
}

let opened: Promise<IDBPDatabase<Schema>> | undefined;

function database(): Promise<IDBPDatabase<Schema>> {
	opened ??= openDB<Schema>('inpaint', 1, {
		upgrade(created) {
			created.createObjectStore('works', { keyPath: 'id' });
			created.createObjectStore('files');
		}
	});
	return opened;
}

/** Store a work, in one transaction: after a crash the last stored state is complete. */
export async function saveWork({ id, timeline, downloaded, unsaved }: Snapshot): Promise<void> {
	const files = new Map<string, Blob | Mask>();
	const photos = photosOf(timeline);
	for (const photo of photos) {
		files.set(photo.id, photo.file);
		if (photo.jpeg) files.set(jpegKey(photo), photo.jpeg);
	}
	const store = (entry: Entry) => storedEntry(entry, files);
	const work: StoredWork = {
		id,
		changed: Date.now(),
		unsaved,
		downloaded,
		original: storedPhoto(timeline.original),
		newest: photoOf(timeline).id,
		done: timeline.done.map(store),
		undone: timeline.undone.map(store)
	};
	const transaction = (await database()).transaction(['works', 'files'], 'readwrite');
	const stored = transaction.objectStore('files');
	const keys = await stored.getAllKeys(filesOf(id));
	const present = new Set(keys.map(([, file]) => file));
	const writes: Promise<unknown>[] = [transaction.objectStore('works').put(work)];
	for (const [file, content] of files) {
		if (present.has(file)) continue;
		writes.push(stored.put(content instanceof Mask ? new Blob([content.data]) : content, [id, file]));
	}
	for (const key of keys) if (!files.has(key[1])) writes.push(stored.delete(key));
	await Promise.all([...writes, transaction.done]);
}

/** @returns null if it is not stored */
export async function loadWork(id: string): Promise<Snapshot | null> {
	const transaction = (await database()).transaction(['works', 'files']);
	const work = await transaction.objectStore('works').get(id);
	if (!work) return null;
	const stored = transaction.objectStore('files');
	const [keys, contents] = await Promise.all([stored.getAllKeys(filesOf(id)), stored.getAll(filesOf(id))]);
	const files = new Map(keys.map(([, file], i) => [file, contents[i] as Blob]));
	const entries = (stored: readonly StoredEntry[]) => Promise.all(stored.map((entry) => loadedEntry(entry, files)));
	const [done, undone] = await Promise.all([entries(work.done), entries(work.undone)]);
	const { unsaved, downloaded } = work;
	return { id, unsaved, downloaded, timeline: { original: loadedPhoto(work.original, files), done, undone } };
}

/** The stored works, the newest first. */
export async function storedWorks(): Promise<readonly Summary[]> {
	const transaction = (await database()).transaction(['works', 'files']);
	const works = await transaction.objectStore('works').getAll();
	const summaries = works
		.sort((one, other) => other.changed - one.changed)
		.map(async ({ id, newest, original, unsaved }) => {
			const photo = await transaction.objectStore('files').get([id, newest]);
			return photo ? { id, name: original.name, unsaved, photo } : null;
		});
	return (await Promise.all(summaries)).filter((summary) => summary !== null);
}

export async function removeWork(id: string): Promise<void> {
	const transaction = (await database()).transaction(['works', 'files'], 'readwrite');
	await Promise.all([
		transaction.objectStore('works').delete(id),
		transaction.objectStore('files').delete(filesOf(id)),
		transaction.done
	]);
}

function filesOf(work: string): IDBKeyRange {
	return IDBKeyRange.bound([work], [work, []]);
}

function storedPhoto(photo: Photo): StoredPhoto {
	const { id, name, type, width, height, animated, alpha } = photo;
	return { id, name, type, width, height, animated, alpha };
}

function loadedPhoto(photo: StoredPhoto, files: ReadonlyMap<string, Blob>): Photo {
	const file = files.get(photo.id);
	if (!file) throw new Error(`the file of photo ${photo.id} is missing`);
	const jpeg = files.get(jpegKey(photo));
	return { ...photo, ...(jpeg && { jpeg }), file, url: URL.createObjectURL(file) };
}

function jpegKey({ id }: StoredPhoto): string {
	return `${id}-jpeg`;
}

const maskIds = new WeakMap<Mask, string>();

function storedEntry(entry: Entry, files: Map<string, Blob | Mask>): StoredEntry {
	if (entry.kind === 'removal') return { ...entry, photo: entry.photo && storedPhoto(entry.photo) };
	if (entry.kind === 'proposal') return { ...entry, mask: storedMask(entry.mask, files) };
	if (entry.kind === 'reset') return { ...entry, mask: entry.mask && storedMask(entry.mask, files) };
	return entry;
}

function storedMask(mask: Mask, files: Map<string, Blob | Mask>): StoredMask {
	const id = maskIds.get(mask) ?? newId();
	maskIds.set(mask, id);
	files.set(id, mask);
	return { id, width: mask.width, height: mask.height };
}

async function loadedEntry(entry: StoredEntry, files: ReadonlyMap<string, Blob>): Promise<Entry> {
	if (entry.kind === 'removal') return { ...entry, photo: entry.photo && loadedPhoto(entry.photo, files) };
	if (entry.kind === 'proposal') return { ...entry, mask: await loadedMask(entry.mask, files) };
	if (entry.kind === 'reset') return { ...entry, mask: entry.mask && (await loadedMask(entry.mask, files)) };
	return entry;
}

async function loadedMask({ id, width, height }: StoredMask, files: ReadonlyMap<string, Blob>): Promise<Mask> {
	const data = await files.get(id)?.arrayBuffer();
	const mask = new Mask(width, height, data && new Uint8Array(data));
	maskIds.set(mask, id);
	return mask;
}
