import type { Point, Size } from '../view/view';

export const HOLE = 255;
export const KNOWN = 0;

/** A mask at the photo's size, row by row, one byte per pixel: 255 = hole to fill, 0 = known. */
export class Mask implements Size {
	readonly data: Uint8Array<ArrayBuffer>;

	constructor(
		readonly width: number,
		readonly height: number,
		data?: Uint8Array<ArrayBuffer>
	) {
		this.data = data ?? new Uint8Array(width * height);
		if (this.data.length !== width * height) {
			throw new RangeError(`a mask of ${width} x ${height} needs one byte per pixel, not ${this.data.length}`);
		}
	}

	/** The number of pixels to fill. */
	holes(): number {
		let count = 0;
		for (const value of this.data) if (value === HOLE) count++;
		return count;
	}

	copy(): Mask {
		return new Mask(this.width, this.height, this.data.slice());
	}

	/** Add the holes of another mask of the same size. */
	add({ data }: Mask): void {
		for (let i = 0; i < data.length; i++) if (data[i] === HOLE) this.data[i] = HOLE;
	}

	/**
	 * Set every pixel whose centre lies within `radius` of the line segment from `a` to `b`. Coordinates are in pixels;
	 * the centre of the first pixel is (0.5, 0.5). The pixel under `b` is always set.
	 */
	fillCapsule(a: Point, b: Point, radius: number, value: typeof HOLE | typeof KNOWN): void {
		this.#fillRow(Math.floor(b.y), Math.floor(b.x), Math.floor(b.x), value);
		const top = Math.max(0, Math.ceil(Math.min(a.y, b.y) - radius - 0.5));
		const bottom = Math.min(this.height - 1, Math.floor(Math.max(a.y, b.y) + radius - 0.5));
		for (let row = top; row <= bottom; row++) {
			const [left, right] = capsuleAcross(a, b, radius, row + 0.5);
			this.#fillRow(row, Math.ceil(left - 0.5), Math.floor(right - 0.5), value);
		}
	}

	/**
	 * Set every pixel whose centre lies inside a polygon, by the nonzero winding rule. Coordinates are in pixels, as in
	 * `fillCapsule`; the last point is connected to the first.
	 */
	fillPolygon(points: readonly Point[]): void {
		const crossings: { x: number; direction: number }[][] = [];
		for (const [i, b] of points.entries()) {
			const a = points.at(i - 1) as Point;
			const [upper, lower] = a.y < b.y ? [a, b] : [b, a];
			const last = Math.min(this.height - 1, Math.ceil(lower.y - 0.5) - 1);
			for (let row = Math.max(0, Math.ceil(upper.y - 0.5)); row <= last; row++) {
				const x = upper.x + ((row + 0.5 - upper.y) * (lower.x - upper.x)) / (lower.y - upper.y);
				(crossings[row] ??= []).push({ x, direction: a.y < b.y ? 1 : -1 });
			}
		}
		for (const [row, found] of crossings.entries()) {
			let winding = 0;
			let start = 0;
			for (const { x, direction } of found?.sort((one, other) => one.x - other.x) ?? []) {
				if (winding === 0) start = x;
				winding += direction;
				if (winding === 0) this.#fillRow(row, Math.ceil(start - 0.5), Math.ceil(x - 0.5) - 1, HOLE);
			}
		}
	}

	/**
	 * A mask whose holes reach `pixels` further in every direction or, if `pixels` is negative, less far. The photo's
	 * edge does not shrink a hole.
	 */
	grown(pixels: number): Mask {
		const value = pixels > 0 ? HOLE : KNOWN;
		const radius = Math.abs(pixels);
		const result = this.copy();
		// A disc around every pixel at a boundary covers the same pixels as one around every pixel.
		for (let row = 0, i = 0; row < this.height; row++) {
			for (let column = 0; column < this.width; column++, i++) {
				if (this.data[i] !== value) continue;
				const inside =
					(column === 0 || this.data[i - 1] === value) &&
					(column === this.width - 1 || this.data[i + 1] === value) &&
					(row === 0 || this.data[i - this.width] === value) &&
					(row === this.height - 1 || this.data[i + this.width] === value);
				if (inside) continue;
				for (let dy = -radius; dy <= radius; dy++) {
					const half = Math.floor(Math.sqrt(radius * radius - dy * dy));
					result.#fillRow(row + dy, column - half, column + half, value);
				}
			}
		}
		return result;
	}

	#fillRow(row: number, first: number, last: number, value: number): void {
		const from = Math.max(0, first);
		const to = Math.min(this.width - 1, last);
		if (row < 0 || row >= this.height || from > to) return;
		this.data.fill(value, row * this.width + from, row * this.width + to + 1);
	}
}

/** Where the horizontal line at `y` enters and leaves the capsule. The capsule is convex, so there are two points. */
function capsuleAcross(a: Point, b: Point, radius: number, y: number): [number, number] {
	let left = Infinity;
	let right = -Infinity;
	for (const end of [a, b]) {
		const half = Math.sqrt(radius * radius - (y - end.y) * (y - end.y));
		if (half >= 0) {
			left = Math.min(left, end.x - half);
			right = Math.max(right, end.x + half);
		}
	}
	const dx = b.x - a.x;
	const dy = b.y - a.y;
	const length = Math.hypot(dx, dy);
	if (length === 0) return [left, right];
	// The two straight sides between the round ends.
	for (const side of [-radius / length, radius / length]) {
		const start = { x: a.x - dy * side, y: a.y + dx * side };
		const t = (y - start.y) / dy;
		if (t >= 0 && t <= 1) {
			left = Math.min(left, start.x + dx * t);
			right = Math.max(right, start.x + dx * t);
		}
	}
	return [left, right];
}
