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
			throw new RangeError(`a mask of ${width} x ${height} pixels needs as many bytes, not ${this.data.length}`);
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
