/** The history of a photo: paint and removals in the order in which the user made them, to undo and redo. */

import type { Photo } from './image/photo';
import type { Edit } from './mask/edits';
import type { Mask } from './mask/mask';

/** Removes everything painted since the previous removal, or fills the photo's transparent parts. */
export interface Removal {
	readonly kind: 'removal';
	/** Whether it is undone and redone together with the stroke before it, whose release started it. */
	readonly onRelease: boolean;
	/** Whether it fills the transparent parts. Then there is no paint. */
	readonly transparent?: boolean;
	/** The result; null until the server has answered. */
	readonly photo: Photo | null;
}

export type Entry = Edit | Removal;

/** In `done`, the removals without a result come after those with one. */
export interface Timeline {
	readonly original: Photo;
	readonly done: readonly Entry[];
	readonly undone: readonly Entry[];
}

/** A removal without a result, and what it needs: the newest photo before it, and the paint on it. */
export interface Job {
	readonly removal: Removal;
	readonly photo: Photo;
	readonly paint: readonly Edit[];
}

export function begin(original: Photo): Timeline {
	return { original, done: [], undone: [] };
}

export function add(timeline: Timeline, entry: Entry): Timeline {
	return { ...timeline, done: [...timeline.done, entry], undone: [] };
}

/**
 * Propose a mask. It replaces the last proposal, below what was painted and erased since, or is added to the paint if
 * that contains no proposal. Without a mask, the last proposal is withdrawn.
 */
export function propose(timeline: Timeline, mask: Mask | null): Timeline {
	const at = proposalIn(timeline);
	if (at < 0) return mask ? add(timeline, { kind: 'proposal', mask }) : timeline;
	const [before, after] = [timeline.done.slice(0, at), timeline.done.slice(at + 1)];
	const done: Entry[] = mask ? [...before, { kind: 'proposal', mask }, ...after] : [...before, ...after];
	return { ...timeline, done, undone: [] };
}

/** Whether the paint added since the last removal contains a proposal that can be replaced. */
export function hasProposal(timeline: Timeline): boolean {
	return proposalIn(timeline) >= 0;
}

/** The position of the last proposal, or -1 if a removal or a reset came after it. */
function proposalIn({ done }: Timeline): number {
	const at = done.findLastIndex(({ kind }) => kind !== 'stroke' && kind !== 'area');
	return done[at]?.kind === 'proposal' ? at : -1;
}

export function undo(timeline: Timeline): Timeline {
	const { done, undone } = timeline;
	const last = done.at(-1);
	const count = last?.kind === 'removal' && last.onRelease ? 2 : 1;
	return { ...timeline, done: done.slice(0, -count), undone: [...undone, ...done.slice(-count).reverse()] };
}

export function redo(timeline: Timeline): Timeline {
	const { done, undone } = timeline;
	const next = undone.at(-2);
	const count = next?.kind === 'removal' && next.onRelease ? 2 : 1;
	return { ...timeline, done: [...done, ...undone.slice(-count).reverse()], undone: undone.slice(0, -count) };
}

/** The newest result, or the original. */
export function photoOf({ original, done }: Timeline): Photo {
	return done.reduce((photo, entry) => (entry.kind === 'removal' && entry.photo) || photo, original);
}

/** The paint added since the last removal. */
export function paintOf({ done }: Timeline): readonly Edit[] {
	const start = done.findLastIndex((entry) => entry.kind === 'removal');
	return edits(done.slice(start + 1));
}

/** The paint of the removals that have no result yet. */
export function pendingPaintOf({ done }: Timeline): readonly Edit[] {
	const start = done.findLastIndex((entry) => entry.kind === 'removal' && entry.photo);
	const end = done.findLastIndex((entry) => entry.kind === 'removal');
	return edits(done.slice(start + 1, Math.max(end, 0)));
}

/** The first removal without a result, or null. */
export function nextJob({ original, done }: Timeline): Job | null {
	let photo = original;
	let start = 0;
	for (const [i, entry] of done.entries()) {
		if (entry.kind !== 'removal') continue;
		if (!entry.photo) return { removal: entry, photo, paint: edits(done.slice(start, i)) };
		photo = entry.photo;
		start = i + 1;
	}
	return null;
}

/** Record the result of a removal. */
export function settle(timeline: Timeline, removal: Removal, photo: Photo): Timeline {
	const done = timeline.done.map((entry) => (entry === removal ? { ...removal, photo } : entry));
	return { ...timeline, done };
}

/** Drop the removals without a result. Their paint stays. */
export function abandon(timeline: Timeline): Timeline {
	const done = timeline.done.filter((entry) => entry.kind !== 'removal' || entry.photo);
	return { ...timeline, done, undone: [] };
}

/** Every photo of the timeline, including the undone ones. */
export function photosOf({ original, done, undone }: Timeline): readonly Photo[] {
	const results = [...done, ...undone].map((entry) => (entry.kind === 'removal' ? entry.photo : null));
	return [original, ...results.filter((photo) => photo !== null)];
}

function edits(entries: readonly Entry[]): readonly Edit[] {
	return entries.filter((entry) => entry.kind !== 'removal');
}
