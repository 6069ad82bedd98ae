import { describe, expect, test } from 'vitest';
import { HOLE, KNOWN, Mask } from '../../src/lib/mask/mask';
import type { Point } from '../../src/lib/view/view';

/** Reference implementation: a pixel is set if its centre is within the radius of the segment. */
function within(x: number, y: number, a: Point, b: Point, radius: number): boolean {
	const length = (b.x - a.x) ** 2 + (b.y - a.y) ** 2;
	const t = length === 0 ? 0 : ((x - a.x) * (b.x - a.x) + (y - a.y) * (b.y - a.y)) / length;
	const nearest = Math.min(1, Math.max(0, t));
	return Math.hypot(x - a.x - nearest * (b.x - a.x), y - a.y - nearest * (b.y - a.y)) <= radius;
}

/** Reproducible pseudo-random numbers in [0, 1). */
function randomNumbers(seed: number): () => number {
	return () => (seed = (seed * 16807) % 2147483647) / 2147483647;
}

describe('a capsule', () => {
	test('sets exactly the pixels whose centres it covers', () => {
		const random = randomNumbers(7);
		const between = (least: number, most: number) => least + random() * (most - least);
		for (let round = 0; round < 300; round++) {
			const a = { x: between(-10, 50), y: between(-10, 40) };
			const b = round % 5 === 0 ? a : { x: between(0, 40), y: between(0, 30) };
			const radius = between(0.8, 14);
			const mask = new Mask(40, 30);
			mask.fillCapsule(a, b, radius, HOLE);
			const right = mask.data.map((_, i) => {
				const [x, y] = [i % 40, Math.floor(i / 40)];
				const under = Math.floor(b.x) === x && Math.floor(b.y) === y;
				return under || within(x + 0.5, y + 0.5, a, b, radius) ? HOLE : KNOWN;
			});
			expect(mask.data, `round ${round}`).toEqual(right);
		}
	});

	test.each([
		['across', { x: 5, y: 10 }, { x: 25, y: 10 }],
		['down', { x: 10, y: 5 }, { x: 10, y: 25 }]
	])('straight %s is as wide as its brush', (_, a, b) => {
		const mask = new Mask(30, 30);
		mask.fillCapsule(a, b, 3, HOLE);
		const middle = Array.from({ length: 30 }, (_, i) => mask.data[a.y === b.y ? i * 30 + 15 : 15 * 30 + i]);
		expect(middle.filter((value) => value === HOLE)).toHaveLength(6);
	});

	test('thinner than a pixel still sets the pixel under it', () => {
		const mask = new Mask(9, 9);
		mask.fillCapsule({ x: 4.01, y: 4.99 }, { x: 4.01, y: 4.99 }, 0.1, HOLE);
		expect(mask.data.indexOf(HOLE)).toBe(4 * 9 + 4);
		expect(mask.holes()).toBe(1);
	});

	test('outside the image changes nothing', () => {
		const mask = new Mask(9, 9);
		mask.fillCapsule({ x: -30, y: 4 }, { x: -20, y: 4 }, 5, HOLE);
		mask.fillCapsule({ x: 4, y: 30 }, { x: 4, y: 20 }, 5, HOLE);
		expect(mask.holes()).toBe(0);
	});

	test('erases exactly what it would paint', () => {
		const mask = new Mask(20, 20);
		mask.data.fill(HOLE);
		mask.fillCapsule({ x: 10, y: 10 }, { x: 10, y: 10 }, 4, KNOWN);
		const painted = new Mask(20, 20);
		painted.fillCapsule({ x: 10, y: 10 }, { x: 10, y: 10 }, 4, HOLE);
		expect(mask.data.map((value) => HOLE - value)).toEqual(painted.data);
	});
});

test('a mask needs one byte per pixel', () => {
	expect(() => new Mask(3, 3, new Uint8Array(8))).toThrow(RangeError);
});
