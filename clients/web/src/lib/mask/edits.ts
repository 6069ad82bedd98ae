/** The list of edits to a mask, used to draw it, to undo and redo, and to rasterize it at the photo's size. */

import type { Point, Size } from '../view/view';
import { HOLE, KNOWN, Mask } from './mask';

/** A point of a stroke and the brush's radius there, in photo pixels. */
export interface Dab extends Point {
	readonly radius: number;
}

export interface Stroke {
	readonly kind: 'stroke';
	readonly erase: boolean;
	readonly dabs: readonly [Dab, ...Dab[]];
}

/** Replace everything before: with an empty mask (null), or with an imported one. */
export interface Reset {
	readonly kind: 'reset';
	readonly mask: Mask | null;
}

export type Edit = Stroke | Reset;

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

/** The strokes since the last reset, and the mask it started from. */
export function visible({ done }: Edits): { base: Mask | null; strokes: readonly Stroke[] } {
	const start = done.findLastIndex((edit) => edit.kind === 'reset');
	const reset = done[start];
	const strokes = done.slice(start + 1).filter((edit) => edit.kind === 'stroke');
	return { base: reset?.kind === 'reset' ? reset.mask : null, strokes };
}

/** Whether nothing has been painted. Paint that was erased again still counts as painted. */
export function isBlank(edits: Edits): boolean {
	const { base, strokes } = visible(edits);
	return base === null && strokes.every((stroke) => stroke.erase);
}

/** The line segments of a stroke; each has the radius of its end point. A tap is a segment of length 0. */
export function* segments(stroke: Stroke, from = 0): Generator<[Dab, Dab]> {
	for (let i = from; i < stroke.dabs.length; i++) {
		const end = stroke.dabs[i] as Dab;
		yield [stroke.dabs[i - 1] ?? end, end];
	}
}

/**
 * Whether a stroke reaches the photo: some segment crosses the photo's rectangle, grown by the brush's radius. The grown
 * rectangle's corners are not rounded, so a stroke just outside a corner may count as well.
 */
export function touches(stroke: Stroke, { width, height }: Size): boolean {
	for (const [start, end] of segments(stroke)) {
		const across = timeWithin(start.x, end.x, -end.radius, width + end.radius);
		const down = timeWithin(start.y, end.y, -end.radius, height + end.radius);
		if (Math.max(0, across[0], down[0]) < Math.min(1, across[1], down[1])) return true;
	}
	return false;
}

/** The times between which a point that moves from `a` (at 0) to `b` (at 1) is between `min` and `max`. */
function timeWithin(a: number, b: number, min: number, max: number): [number, number] {
	if (a === b) return a > min && a < max ? [0, 1] : [1, 0];
	const times = [(min - a) / (b - a), (max - a) / (b - a)] as const;
	return [Math.min(...times), Math.max(...times)];
}

/** Draw the mask at the photo's size. */
export function rasterize(edits: Edits, { width, height }: Size): Mask {
	const { base, strokes } = visible(edits);
	const mask = base?.copy() ?? new Mask(width, height);
	for (const stroke of strokes) {
		const value = stroke.erase ? KNOWN : HOLE;
		for (const [start, end] of segments(stroke)) mask.fillCapsule(start, end, end.radius, value);
	}
	return mask;
}
