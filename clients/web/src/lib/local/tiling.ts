/**
 * Fill narrow holes at one scale, in windows of the size that the model was trained on: a port of
 * `serving/core/tiling.py` that runs one window at a time.
 */
import { CONTEXT, EDGE, MERGE, MIN_SIZE, RAMP } from './constants.json';
import { blankArea, components, round, type Area, type Picture } from './image';
import type { Size } from '../view/view';

type Floats = Float32Array<ArrayBuffer>;

/** The model's input: planes, row by row, in [0, 1]. Its output has the same size. */
export interface ModelInput extends Size {
	/** Three planes: red, green, blue. */
	readonly image: Floats;
	/** One plane: 1 = known, 0 = hole. */
	readonly known: Floats;
}

/** Fills one window, whose sides are at least `MIN_SIZE`. Returns three planes. */
export type Model = (input: ModelInput) => Promise<Float32Array>;

interface Window {
	readonly top: number;
	readonly left: number;
	/** Indices into the list of wanted pixels. */
	readonly fills: Int32Array;
}

/**
 * Fill the wanted pixels of a picture in place.
 *
 * @param canvas zero in the hole
 * @param hole where the model must not read the canvas
 * @param wanted where to fill; a subset of the hole
 * @param side height and width of a window; the picture's own where that is smaller
 */
export async function fillWindows(
	canvas: Picture,
	hole: Area,
	wanted: Area,
	model: Model,
	side: number
): Promise<void> {
	const size = { width: Math.min(side, hole.width), height: Math.min(side, hole.height) };
	const { ys, xs, bounds } = wantedPixels(wanted);
	const total = new Float32Array(3 * ys.length);
	const totalWeight = new Float32Array(ys.length);
	const whole = size.width === hole.width && size.height === hole.height;
	const windows = whole ? [{ top: 0, left: 0, fills: ys.map((_, i) => i) }] : place(ys, xs, bounds, hole, size);
	for (const { top, left, fills } of windows) {
		const input = cut(canvas, hole, top, left, size);
		const output = await model(input);
		const plane = input.width * input.height;
		const rows = blendWeight(top, size.height, hole.height);
		const columns = blendWeight(left, size.width, hole.width);
		for (const i of fills) {
			const [y, x] = [ys[i]! - top, xs[i]! - left];
			const weight = Math.fround(rows[y]! * columns[x]!);
			for (let channel = 0; channel < 3; channel++) {
				total[3 * i + channel]! += Math.fround(weight * output[channel * plane + y * input.width + x]!);
			}
			totalWeight[i]! += weight;
		}
	}
	for (let i = 0; i < ys.length; i++) {
		const at = 3 * (ys[i]! * canvas.width + xs[i]!);
		for (let channel = 0; channel < 3; channel++) {
			const value = Math.fround(total[3 * i + channel]! / totalWeight[i]!);
			canvas.data[at + channel] = round(Math.fround(Math.min(Math.max(value, 0), 1) * 255));
		}
	}
}

/** List the wanted pixels hole by hole, row by row: rows, columns, and the bounds between the holes. */
function wantedPixels(wanted: Area): { ys: Int32Array; xs: Int32Array; bounds: number[] } {
	const { width, data } = wanted;
	const cells = blankArea({ width: Math.ceil(width / MERGE), height: Math.ceil(wanted.height / MERGE) });
	const cellOf = (i: number) =>
		Math.floor(Math.floor(i / width) / MERGE) * cells.width + Math.floor((i % width) / MERGE);
	for (let i = data.indexOf(1); i >= 0; i = data.indexOf(1, i + 1)) cells.data[cellOf(i)] = 1;
	const { labels, count } = components(cells);
	const bounds = new Array<number>(count + 1).fill(0);
	for (let i = data.indexOf(1); i >= 0; i = data.indexOf(1, i + 1)) bounds[labels[cellOf(i)]!]!++;
	for (let label = 1; label <= count; label++) bounds[label]! += bounds[label - 1]!;
	const next = bounds.slice();
	const [ys, xs] = [new Int32Array(bounds[count]!), new Int32Array(bounds[count]!)];
	for (let i = data.indexOf(1); i >= 0; i = data.indexOf(1, i + 1)) {
		const at = next[labels[cellOf(i)]! - 1]!++;
		ys[at] = Math.floor(i / width);
		xs[at] = i % width;
	}
	return { ys, xs, bounds };
}

/** Place windows over the holes, each given by its pixels. */
function* place(ys: Int32Array, xs: Int32Array, bounds: readonly number[], shape: Size, size: Size): Generator<Window> {
	for (const [hole, end] of bounds.slice(1).entries()) {
		const start = bounds[hole]!;
		const pixels = Int32Array.from({ length: end - start }, (_, i) => start + i);
		const rows = axisOf(ys, pixels, size.height, shape.height);
		const columns = axisOf(xs, pixels, size.width, shape.width);
		const wide = columns.high - columns.low > rows.high - rows.low;
		// A chain along the longer axis needs the fewest windows.
		const [along, across] = wide ? [columns, rows] : [rows, columns];
		const firsts = chain(along.low, along.high + 1, along);
		// The pixels nearest to a window of the chain decide its position across the chain.
		const borders = firsts.slice(1).map((next, i) => Math.floor((firsts[i]! + next + along.side) / 2));
		for (const [number, first] of firsts.entries()) {
			const own = pixels.filter(within(along, borders[number - 1] ?? 0, (borders[number] ?? along.length) - 1));
			const strip = pixels.filter(within(along, ...reach(first, along)));
			for (const [low, high] of parts(own.map((i) => across.at[i]!))) {
				for (const second of chain(low, high + 1, across)) {
					const [top, left] = wide ? [second, first] : [first, second];
					yield { top, left, fills: strip.filter(within(across, ...reach(second, across))) };
				}
			}
		}
	}
}

/** Rows or columns: where the pixels of a hole are, and the sides of a window and of the picture. */
interface Axis {
	readonly at: Int32Array;
	readonly low: number;
	readonly high: number;
	readonly side: number;
	readonly length: number;
}

function axisOf(at: Int32Array, pixels: Int32Array, side: number, length: number): Axis {
	const low = pixels.reduce((least, i) => Math.min(least, at[i]!), Infinity);
	const high = pixels.reduce((most, i) => Math.max(most, at[i]!), -Infinity);
	return { at, low, high, side, length };
}

function within({ at }: Axis, first: number, last: number): (pixel: number) => boolean {
	return (i) => at[i]! >= first && at[i]! <= last;
}

/** The first and the last value of each group of values: groups that are far from each other get windows of their own. */
function parts(values: Int32Array): [first: number, last: number][] {
	const sorted = [...new Set(values)].sort((one, other) => one - other);
	const found: [number, number][] = [];
	for (const value of sorted) {
		const part = found.at(-1);
		if (part && value - part[1] <= 2 * CONTEXT) part[1] = value;
		else found.push([value, value]);
	}
	return found;
}

/** The start positions along an axis of the windows that cover [low, high), all within [0, length). */
function chain(low: number, high: number, { side, length }: Axis): number[] {
	const first = low - CONTEXT;
	const last = high + CONTEXT - side;
	let starts: number[];
	if (side === length) starts = [0];
	else if (last <= first) starts = [Math.floor((low + high - side) / 2)];
	else {
		const count = Math.ceil((last - first) / (side - 2 * EDGE - RAMP));
		const step = (last - first) / count;
		starts = Array.from({ length: count + 1 }, (_, i) => (i === count ? last : round(i * step + first)));
	}
	const inside = starts.map((start) => Math.min(Math.max(start, 0), length - side));
	return [...new Set(inside)].sort((one, other) => one - other);
}

/** The blend weights in [0, 1] of a window's pixels along an axis: smooth, and 1 at the picture's edge. */
function blendWeight(start: number, side: number, length: number): Floats {
	return Float32Array.from({ length: side }, (_, i) => {
		const low = start === 0 ? Infinity : i + 0.5;
		const high = start + side === length ? Infinity : side - i - 0.5;
		const rise = Math.min(Math.max((Math.min(low, high) - EDGE) / RAMP, 0), 1);
		return rise * rise * (3 - 2 * rise);
	});
}

/** The first and the last position in the picture at which a window has weight. */
function reach(start: number, { side, length }: Axis): [first: number, last: number] {
	const weights = blendWeight(start, side, length);
	return [start + weights.findIndex((weight) => weight > 0), start + weights.findLastIndex((weight) => weight > 0)];
}

/** One window as input for the model; padding is not known. */
function cut(canvas: Picture, hole: Area, top: number, left: number, size: Size): ModelInput {
	const width = Math.max(size.width, MIN_SIZE);
	const height = Math.max(size.height, MIN_SIZE);
	const plane = width * height;
	const image = new Float32Array(3 * plane);
	const known = new Float32Array(plane);
	for (let y = 0; y < size.height; y++) {
		for (let x = 0; x < size.width; x++) {
			const from = (top + y) * hole.width + left + x;
			const to = y * width + x;
			known[to] = hole.data[from] ? 0 : 1;
			for (let channel = 0; channel < 3; channel++) {
				image[channel * plane + to] = canvas.data[3 * from + channel]! / 255;
			}
		}
	}
	return { width, height, image, known };
}
