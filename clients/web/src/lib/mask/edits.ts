/** What was done to a mask, in order: from this it is drawn, undone, redone, and made at the picture's own size. */

import type { Point, Size } from '../view/view';
import { HOLE, KNOWN, Mask } from './mask';

/** A place that the brush passed, in the picture's pixels, and the brush's radius there. */
export interface Dab extends Point {
	readonly radius: number;
}

export interface Stroke {
	readonly kind: 'stroke';
	readonly erase: boolean;
	readonly dabs: readonly [Dab, ...Dab[]];
}

/** Start again from nothing, or from a mask that was brought along. */
export interface Fresh {
	readonly kind: 'fresh';
	readonly mask: Mask | null;
}

export type Edit = Stroke | Fresh;

export interface Edits {
	readonly done: readonly Edit[];
	readonly undone: readonly Edit[];
}

export const NO_EDITS: Edits = { done: [], undone: [] };

export function add(edits: Edits, edit: Edit): Edits {
	return { done: [...edits.done, edit], undone: [] };
}

export function undo({ done, undone }: Edits): Edits {
	const last = done.at(-1);
	return last ? { done: done.slice(0, -1), undone: [...undone, last] } : { done, undone };
}

export function redo({ done, undone }: Edits): Edits {
	const next = undone.at(-1);
	return next ? { done: [...done, next], undone: undone.slice(0, -1) } : { done, undone };
}

/** What still shows: the strokes since the last fresh start, and the mask that it started from. */
export function visible({ done }: Edits): { base: Mask | null; strokes: readonly Stroke[] } {
	const start = done.findLastIndex((edit) => edit.kind === 'fresh');
	const fresh = done[start];
	const strokes = done.slice(start + 1).filter((edit) => edit.kind === 'stroke');
	return { base: fresh?.kind === 'fresh' ? fresh.mask : null, strokes };
}

/** Whether there is any paint, even if it was all erased again. */
export function isBlank(edits: Edits): boolean {
	const { base, strokes } = visible(edits);
	return base === null && strokes.every((stroke) => stroke.erase);
}

/** The lines that a stroke is made of; each has the brush's radius at its end. A tap is a line of no length. */
export function* segments(stroke: Stroke, from = 0): Generator<[Dab, Dab]> {
	for (let i = from; i < stroke.dabs.length; i++) {
		const end = stroke.dabs[i] as Dab;
		yield [stroke.dabs[i - 1] ?? end, end];
	}
}

/** Make the mask at the picture's own size. */
export function rasterize(edits: Edits, { width, height }: Size): Mask {
	const { base, strokes } = visible(edits);
	const mask = base?.copy() ?? new Mask(width, height);
	for (const stroke of strokes) {
		const value = stroke.erase ? KNOWN : HOLE;
		for (const [start, end] of segments(stroke)) mask.fillCapsule(start, end, end.radius, value);
	}
	return mask;
}
