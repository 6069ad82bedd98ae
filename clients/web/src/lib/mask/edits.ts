/** The edits that make a mask, used to show it and to rasterize it at the photo's size. */

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

/** The inside of a line drawn around something; a straight line closes it. */
export interface Area {
	readonly kind: 'area';
	readonly outline: readonly Point[];
}

/** The mask of the marks that were found. */
export interface Proposal {
	readonly kind: 'proposal';
	readonly mask: Mask;
}

/** Replaces everything before it with an empty mask (null) or with an imported one. */
export interface Reset {
	readonly kind: 'reset';
	readonly mask: Mask | null;
}

export type Mark = Stroke | Area;
export type Edit = Mark | Proposal | Reset;

/** The marks and proposals since the last reset, and the mask it started from. */
export function visible(edits: readonly Edit[]): { base: Mask | null; marks: readonly (Mark | Proposal)[] } {
	const start = edits.findLastIndex((edit) => edit.kind === 'reset');
	const reset = edits[start];
	const marks = edits.slice(start + 1).filter((edit) => edit.kind !== 'reset');
	return { base: reset?.kind === 'reset' ? reset.mask : null, marks };
}

/** Whether nothing has been painted. Paint that was erased again still counts as painted. */
export function isBlank(edits: readonly Edit[]): boolean {
	const { base, marks } = visible(edits);
	return base === null && marks.every((mark) => mark.kind === 'stroke' && mark.erase);
}

/** The line segments of a stroke; each has the radius of its end point. A tap is a segment of length 0. */
export function* segments(stroke: Stroke, from = 0): Generator<[Dab, Dab]> {
	for (let i = from; i < stroke.dabs.length; i++) {
		const end = stroke.dabs[i] as Dab;
		yield [stroke.dabs[i - 1] ?? end, end];
	}
}

/**
 * Whether a mark reaches the photo. A stroke does if some segment crosses the photo's rectangle, grown by the brush's
 * radius. The grown rectangle's corners are not rounded, so a stroke just outside a corner may count as well. An area
 * does if its bounding box overlaps the photo and is at least a pixel wide and high.
 */
export function touches(mark: Mark, { width, height }: Size): boolean {
	if (mark.kind === 'area') {
		const across = overlap(
			mark.outline.map(({ x }) => x),
			width
		);
		const down = overlap(
			mark.outline.map(({ y }) => y),
			height
		);
		return across >= 1 && down >= 1;
	}
	for (const [start, end] of segments(mark)) {
		const across = timeWithin(start.x, end.x, -end.radius, width + end.radius);
		const down = timeWithin(start.y, end.y, -end.radius, height + end.radius);
		if (Math.max(0, across[0], down[0]) < Math.min(1, across[1], down[1])) return true;
	}
	return false;
}

function overlap(values: readonly number[], length: number): number {
	const [min, max] = values.reduce(
		([min, max], value) => [Math.min(min, value), Math.max(max, value)],
		[Infinity, -Infinity]
	);
	return Math.min(max, length) - Math.max(min, 0);
}

/** The times between which a point that moves from `a` (at 0) to `b` (at 1) is between `min` and `max`. */
function timeWithin(a: number, b: number, min: number, max: number): [number, number] {
	if (a === b) return a > min && a < max ? [0, 1] : [1, 0];
	const times = [(min - a) / (b - a), (max - a) / (b - a)] as const;
	return [Math.min(...times), Math.max(...times)];
}

/** Draw the mask at the photo's size. */
export function rasterize(edits: readonly Edit[], { width, height }: Size): Mask {
	const { base, marks } = visible(edits);
	const mask = base?.copy() ?? new Mask(width, height);
	for (const mark of marks) {
		if (mark.kind === 'area') {
			mask.fillPolygon(mark.outline);
			continue;
		}
		if (mark.kind === 'proposal') {
			mask.add(mark.mask);
			continue;
		}
		const value = mark.erase ? KNOWN : HOLE;
		for (const [start, end] of segments(mark)) mask.fillCapsule(start, end, end.radius, value);
	}
	return mask;
}
