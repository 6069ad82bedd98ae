import { describe, expect, test } from 'vitest';
import { isBlank, rasterize, touches, visible, type Area, type Edit, type Stroke } from '../../src/lib/mask/edits';
import { HOLE, Mask } from '../../src/lib/mask/mask';

const SIZE = { width: 60, height: 40 };
const CLEAR: Edit = { kind: 'reset', mask: null };

function line(y: number, erase = false): Stroke {
	const radius = 2;
	return {
		kind: 'stroke',
		erase,
		dabs: [
			{ x: 10, y, radius },
			{ x: 50, y, radius }
		]
	};
}

function area(...points: [number, number][]): Area {
	return { kind: 'area', outline: points.map(([x, y]) => ({ x, y })) };
}

function holesInRow(edits: readonly Edit[], row: number): number {
	return rasterize(edits, SIZE)
		.data.subarray(row * SIZE.width, (row + 1) * SIZE.width)
		.filter((value) => value === HOLE).length;
}

describe('the mask', () => {
	test('has the size of the photo, whatever is painted', () => {
		const mask = rasterize([line(20)], { width: 4000, height: 3000 });
		expect([mask.width, mask.height, mask.data.length]).toEqual([4000, 3000, 12_000_000]);
	});

	test('contains only 0 and 255', () => {
		const mask = rasterize([line(20), line(30)], SIZE);
		expect([...new Set(mask.data)].sort((a, b) => a - b)).toEqual([0, 255]);
	});

	test('applies the strokes in order', () => {
		expect(holesInRow([line(20), line(20, true)], 20)).toBe(0);
		expect(holesInRow([line(20, true), line(20)], 20)).toBeGreaterThan(40);
	});

	test('a tap leaves a disc', () => {
		const tap: Stroke = { kind: 'stroke', erase: false, dabs: [{ x: 30, y: 20, radius: 5 }] };
		expect(rasterize([tap], SIZE).holes()).toBeCloseTo(Math.PI * 25, -1);
	});

	test('every segment has the radius of its end point', () => {
		const growing: Stroke = {
			kind: 'stroke',
			erase: false,
			dabs: [
				{ x: 5, y: 20, radius: 1 },
				{ x: 30, y: 20, radius: 1 },
				{ x: 55, y: 20, radius: 6 }
			]
		};
		const mask = rasterize([growing], SIZE);
		const height = (x: number) =>
			Array.from({ length: SIZE.height }, (_, y) => mask.data[y * SIZE.width + x]).filter(Boolean).length;
		expect([height(15), height(45)]).toEqual([2, 12]);
	});
});

test('clearing removes everything before', () => {
	expect(rasterize([line(10), CLEAR], SIZE).holes()).toBe(0);
	expect(holesInRow([line(10), CLEAR, line(20)], 20)).toBeGreaterThan(40);
});

describe('an area', () => {
	const square = area([10, 10], [30, 10], [30, 30], [10, 30]);

	test('covers the pixels whose centres are inside, in either direction', () => {
		expect(rasterize([square], SIZE).holes()).toBe(400);
		expect(rasterize([area([10, 30], [30, 30], [30, 10], [10, 10])], SIZE).holes()).toBe(400);
		expect(holesInRow([square], 9)).toBe(0);
		expect(holesInRow([square], 10)).toBe(20);
	});

	test('has no hole where its outline crosses itself twice in the same direction', () => {
		const corners: [number, number][] = [
			[10, 10],
			[30, 10],
			[30, 30],
			[10, 30]
		];
		expect(rasterize([area(...corners, ...corners)], SIZE).holes()).toBe(400);
	});

	test('is clipped to the photo', () => {
		expect(rasterize([area([-50, -50], [200, -50], [200, 200], [-50, 200])], SIZE).holes()).toBe(60 * 40);
	});

	test('touches the photo if it overlaps it', () => {
		expect(touches(square, SIZE)).toBe(true);
		expect(touches(area([-30, 5], [-5, 5], [-5, 20]), SIZE)).toBe(false);
		expect(touches(area([20, 20]), SIZE)).toBe(false);
	});

	test('can be erased', () => {
		expect(holesInRow([square, line(20, true)], 20)).toBe(0);
	});
});

describe('growing', () => {
	const dot = new Mask(SIZE.width, SIZE.height);
	dot.fillCapsule({ x: 30, y: 20 }, { x: 30, y: 20 }, 4, HOLE);

	test('and shrinking move the edge in every direction', () => {
		const grown = dot.grown(3);
		expect(Math.abs(grown.holes() - Math.PI * 49)).toBeLessThan(12);
		expect(Math.abs(grown.grown(-3).holes() - dot.holes())).toBeLessThan(6);
		expect(dot.grown(-5).holes()).toBe(0);
		expect(dot.data.every((value, i) => !value || grown.data[i] === HOLE)).toBe(true);
	});

	test("the photo's edge does not shrink a hole", () => {
		const half = new Mask(SIZE.width, SIZE.height);
		half.data.fill(HOLE, 0, 20 * SIZE.width);
		expect(half.grown(-3).holes()).toBe(17 * SIZE.width);
		expect(half.grown(3).holes()).toBe(23 * SIZE.width);
	});
});

test.each([
	['across the photo', [-20, 20], [80, 20], true],
	['through a corner', [-10, 12], [12, -10], true],
	['within', [10, 10], [12, 12], true],
	['a tap within', [10, 10], [10, 10], true],
	['just at the edge', [-1, 20], [-1, 30], true],
	['beside', [-9, 0], [-9, 40], false],
	['below', [0, 49], [60, 49], false],
	['past a corner', [-20, 10], [10, -20], false],
	['a tap beside', [70, 20], [70, 20], false],
	['towards the photo, but not up to it', [-30, 20], [-4, 20], false]
] as const)('touches: %s', (_, [x1, y1], [x2, y2], expected) => {
	const stroke: Stroke = {
		kind: 'stroke',
		erase: false,
		dabs: [
			{ x: x1, y: y1, radius: 3 },
			{ x: x2, y: y2, radius: 3 }
		]
	};
	expect(touches(stroke, SIZE)).toBe(expected);
	expect(rasterize([stroke], SIZE).holes() > 0).toBe(expected);
});

describe('an imported mask', () => {
	const imported = new Mask(SIZE.width, SIZE.height);
	imported.data.fill(HOLE, 0, SIZE.width);
	const start: Edit = { kind: 'reset', mask: imported };

	test('replaces the paint, and can be painted on', () => {
		const edits = [line(20), start, line(30)];
		expect(visible(edits).marks).toEqual([line(30)]);
		expect([0, 20, 30].map((row) => holesInRow(edits, row) > 0)).toEqual([true, false, true]);
	});

	test('is not modified', () => {
		rasterize([start, line(1, true)], SIZE);
		expect(imported.holes()).toBe(SIZE.width);
	});
});

test('a proposal adds to the paint before it, and can be erased', () => {
	const mask = new Mask(SIZE.width, SIZE.height);
	mask.data.fill(HOLE, 0, 2 * SIZE.width);
	const edits: Edit[] = [line(20), { kind: 'proposal', mask }, line(1, true)];
	expect([0, 20].map((row) => holesInRow(edits.slice(0, 2), row) > 0)).toEqual([true, true]);
	expect(rasterize(edits, SIZE).holes()).toBeLessThan(rasterize(edits.slice(0, 2), SIZE).holes());
	expect(mask.holes()).toBe(2 * SIZE.width);
});

test.each([
	[[], true],
	[[line(10)], false],
	[[{ kind: 'proposal', mask: new Mask(60, 40) }], false],
	[[line(10), CLEAR], true],
	[[line(10), CLEAR, line(10, true)], true],
	[[area([0, 0], [9, 0], [9, 9])], false],
	[[{ kind: 'reset', mask: new Mask(60, 40) }], false]
] as [Edit[], boolean][])('isBlank: case %#', (edits, blank) => {
	expect(isBlank(edits)).toBe(blank);
});
