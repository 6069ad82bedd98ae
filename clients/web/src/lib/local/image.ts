/** The image operations of OpenCV that filling and finding marks use, with the same results. */
import type { Size } from '../view/view';

/** 8-bit RGB, three bytes per pixel, row by row. */
export interface Picture extends Size {
	readonly data: Uint8Array<ArrayBuffer>;
}

/** One byte per pixel, row by row: 1 inside the area, 0 outside. */
export interface Area extends Size {
	readonly data: Uint8Array<ArrayBuffer>;
}

export interface Box extends Size {
	readonly left: number;
	readonly top: number;
}

export function blankArea({ width, height }: Size): Area {
	return { width, height, data: new Uint8Array(width * height) };
}

export function isEmpty({ data }: Area): boolean {
	return !data.includes(1);
}

/** The pixels for which a function of their position in the rows returns true. */
export function areaWhere({ width, height }: Size, test: (i: number) => boolean): Area {
	const data = new Uint8Array(width * height);
	for (let i = 0; i < data.length; i++) if (test(i)) data[i] = 1;
	return { width, height, data };
}

/** Round to the nearest integer, halves to even. */
export function round(value: number): number {
	const floor = Math.floor(value);
	const rest = value - floor;
	if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
	return floor % 2 === 0 ? floor : floor + 1;
}

/** The unit of `distances`, as a fraction of a pixel. */
export const DISTANCE_UNIT = 1 / 65536;
const STRAIGHT = Math.round(1 / DISTANCE_UNIT);
const DIAGONAL = Math.round(1.4 / DISTANCE_UNIT);
const KNIGHT = Math.round(2.1969 / DISTANCE_UNIT);
const FAR = 2 ** 32 - 1 - KNIGHT;
const BORDER = 2;

/**
 * The distance of each pixel of an area to the nearest pixel outside it, in units of `DISTANCE_UNIT`: a chamfer distance
 * (`distanceTransform` with `DIST_L2` and `DIST_MASK_5`). Pixels outside the image do not count.
 */
export function distances({ width, height, data }: Area): Uint32Array<ArrayBuffer> {
	const stride = width + 2 * BORDER;
	const found = new Uint32Array(stride * (height + 2 * BORDER)).fill(FAR);
	const steps: [offset: number, cost: number][] = [
		[1, STRAIGHT],
		[stride, STRAIGHT],
		[stride - 1, DIAGONAL],
		[stride + 1, DIAGONAL],
		[stride - 2, KNIGHT],
		[stride + 2, KNIGHT],
		[2 * stride - 1, KNIGHT],
		[2 * stride + 1, KNIGHT]
	];
	for (let y = 0; y < height; y++) {
		for (let x = 0; x < width; x++) {
			const at = (y + BORDER) * stride + BORDER + x;
			let least = data[y * width + x] ? FAR : 0;
			if (least) for (const [offset, cost] of steps) least = Math.min(least, found[at - offset]! + cost);
			found[at] = least;
		}
	}
	const result = new Uint32Array(width * height);
	for (let y = height - 1; y >= 0; y--) {
		for (let x = width - 1; x >= 0; x--) {
			const at = (y + BORDER) * stride + BORDER + x;
			let least = found[at]!;
			if (least) for (const [offset, cost] of steps) least = Math.min(least, found[at + offset]! + cost);
			found[at] = least;
			result[y * width + x] = least;
		}
	}
	return result;
}

/** Grow an area by one pixel in all eight directions (`dilate` with a 3×3 kernel). */
export function dilated({ width, height, data }: Area): Area {
	const result = blankArea({ width, height });
	for (let y = 0; y < height; y++) {
		for (let x = 0; x < width; x++) {
			if (!data[y * width + x]) continue;
			const right = Math.min(x + 1, width - 1);
			for (let row = Math.max(y - 1, 0); row <= Math.min(y + 1, height - 1); row++) {
				result.data.fill(1, row * width + Math.max(x - 1, 0), row * width + right + 1);
			}
		}
	}
	return result;
}

/** The smallest rectangle that contains an area, which must not be empty (`boundingRect`). */
export function boundingBox({ width, height, data }: Area): Box {
	let [left, right, top, bottom] = [width, 0, height, 0];
	for (let y = 0; y < height; y++) {
		const row = data.subarray(y * width, (y + 1) * width);
		const first = row.indexOf(1);
		if (first < 0) continue;
		left = Math.min(left, first);
		right = Math.max(right, row.lastIndexOf(1) + 1);
		top = Math.min(top, y);
		bottom = y + 1;
	}
	return { left, top, width: right - left, height: bottom - top };
}

/** A copy of a rectangle of a picture or an area. */
export function cropped<T extends Picture | Area>(image: T, { left, top, width, height }: Box): T {
	const channels = image.data.length / (image.width * image.height);
	const data = new Uint8Array(width * height * channels);
	for (let y = 0; y < height; y++) {
		const start = ((top + y) * image.width + left) * channels;
		data.set(image.data.subarray(start, start + width * channels), y * width * channels);
	}
	return { ...image, width, height, data };
}

/** For each pixel of an area at half the size, how many of its four pixels are inside. An odd edge counts twice. */
export function quarterCounts({ width, height, data }: Area): Area {
	const half = { width: Math.ceil(width / 2), height: Math.ceil(height / 2) };
	const counts = blankArea(half);
	for (let y = 0; y < height; y++) {
		const rows = y === height - 1 && height % 2 ? 2 : 1;
		for (let x = 0; x < width; x++) {
			if (!data[y * width + x]) continue;
			const columns = x === width - 1 && width % 2 ? 2 : 1;
			counts.data[(y >> 1) * half.width + (x >> 1)]! += rows * columns;
		}
	}
	return counts;
}

/**
 * A picture at half the size: each pixel is the mean of the known ones among its four, or zero if none is known. The
 * picture must be zero in the hole. Four known pixels are averaged as by `INTER_AREA`.
 */
export function halved({ width, height, data }: Picture, hole: Area): Picture {
	const half = { width: Math.ceil(width / 2), height: Math.ceil(height / 2) };
	const holes = quarterCounts(hole).data;
	const result = new Uint8Array(half.width * half.height * 3);
	for (let y = 0; y < half.height; y++) {
		const upper = 2 * y * width;
		const lower = Math.min(2 * y + 1, height - 1) * width;
		for (let x = 0; x < half.width; x++) {
			const left = 2 * x;
			const right = Math.min(left + 1, width - 1);
			const known = 4 - holes[y * half.width + x]!;
			if (known === 0) continue;
			const [a, b] = [3 * (upper + left), 3 * (upper + right)];
			const [c, d] = [3 * (lower + left), 3 * (lower + right)];
			for (let channel = 0; channel < 3; channel++) {
				const sum = data[a + channel]! + data[b + channel]! + data[c + channel]! + data[d + channel]!;
				result[3 * (y * half.width + x) + channel] = known === 4 ? (sum + 2) >> 2 : round(sum / known);
			}
		}
	}
	return { ...half, data: result };
}

const [NEAR_WEIGHT, FAR_WEIGHT] = [1536, 512]; // of 2048: three quarters and one quarter

/** A picture at twice the size, interpolated linearly as by `INTER_LINEAR`, in its fixed-point arithmetic. */
export function doubled({ width, height, data }: Picture): Picture {
	const [wide, tall] = [2 * width, 2 * height];
	const result = new Uint8Array(wide * tall * 3);
	const rows = [new Int32Array(wide * 3), new Int32Array(wide * 3)] as const;
	const widen = (y: number, row: Int32Array) => {
		for (let x = 0; x < wide; x++) {
			const near = x >> 1;
			const far = Math.min(Math.max(x % 2 ? near + 1 : near - 1, 0), width - 1);
			for (let channel = 0; channel < 3; channel++) {
				const [one, other] = [data[3 * (y * width + near) + channel]!, data[3 * (y * width + far) + channel]!];
				row[3 * x + channel] = one * NEAR_WEIGHT + other * FAR_WEIGHT;
			}
		}
	};
	for (let y = 0; y < tall; y++) {
		const near = y >> 1;
		const far = Math.min(Math.max(y % 2 ? near + 1 : near - 1, 0), height - 1);
		widen(near, rows[0]);
		widen(far, rows[1]);
		for (let i = 0; i < wide * 3; i++) {
			const one = (NEAR_WEIGHT * (rows[0][i]! >> 4)) >> 16;
			const other = (FAR_WEIGHT * (rows[1][i]! >> 4)) >> 16;
			result[y * wide * 3 + i] = (one + other + 2) >> 2;
		}
	}
	return { width: wide, height: tall, data: result };
}

/** A picture at a smaller size: each pixel is the mean of what it covers (`INTER_AREA`, but for its rounding errors). */
export function reduced({ width, height, data }: Picture, size: Size): Picture {
	const rows = coverage(height, size.height);
	const columns = coverage(width, size.width);
	const result = new Uint8Array(size.width * size.height * 3);
	for (const [y, row] of rows.entries()) {
		const sums = new Float64Array(size.width * 3);
		for (const [i, down] of row.shares.entries()) {
			const start = (row.first + i) * width;
			for (const [x, { first, shares }] of columns.entries()) {
				let at = 3 * (start + first);
				for (const across of shares) {
					for (let channel = 0; channel < 3; channel++) sums[3 * x + channel]! += down * across * data[at++]!;
				}
			}
		}
		result.set(sums.map(round), y * size.width * 3);
	}
	return { ...size, data: result };
}

/** For each pixel of a reduced row, the first pixel that it covers, and the shares of that one and those after it. */
function coverage(length: number, reducedLength: number): { first: number; shares: number[] }[] {
	const scale = length / reducedLength;
	return Array.from({ length: reducedLength }, (_, i) => {
		const [start, end] = [i * scale, Math.min((i + 1) * scale, length)];
		const first = Math.floor(start);
		const shares = [];
		for (let at = first; at < end; at++) {
			shares.push((Math.min(at + 1, end) - Math.max(at, start)) / (end - start));
		}
		return { first, shares };
	});
}

/** An area at a larger size (`INTER_NEAREST`). */
export function enlarged({ width, height, data }: Area, size: Size): Area {
	const columns = nearest(width, size.width);
	const result = blankArea(size);
	for (const [y, row] of nearest(height, size.height).entries()) {
		for (let x = 0; x < size.width; x++) result.data[y * size.width + x] = data[row * width + columns[x]!]!;
	}
	return result;
}

function nearest(length: number, enlargedLength: number): number[] {
	const step = 1 / (enlargedLength / length);
	return Array.from({ length: enlargedLength }, (_, i) => Math.min(Math.floor(i * step), length - 1));
}

/** Label the connected parts of an area, diagonals included: 0 outside, then 1, 2, … (`connectedComponents`). */
export function components({ width, height, data }: Area): { labels: Int32Array<ArrayBuffer>; count: number } {
	const labels = new Int32Array(width * height);
	let count = 0;
	for (let start = 0; start < data.length; start++) {
		if (!data[start] || labels[start]) continue;
		labels[start] = ++count;
		const open = [start];
		for (let at = open.pop(); at !== undefined; at = open.pop()) {
			const [x, y] = [at % width, Math.floor(at / width)];
			for (let row = Math.max(y - 1, 0); row <= Math.min(y + 1, height - 1); row++) {
				for (let column = Math.max(x - 1, 0); column <= Math.min(x + 1, width - 1); column++) {
					const next = row * width + column;
					if (!data[next] || labels[next]) continue;
					labels[next] = count;
					open.push(next);
				}
			}
		}
	}
	return { labels, count };
}
