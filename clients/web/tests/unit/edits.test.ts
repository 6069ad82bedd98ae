import { describe, expect, test } from 'vitest';
import {
	add,
	isBlank,
	NO_EDITS,
	rasterize,
	redo,
	touches,
	undo,
	visible,
	type Edit,
	type Edits,
	type Stroke
} from '../../src/lib/mask/edits';
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

function edited(...edits: Edit[]): Edits {
	return edits.reduce(add, NO_EDITS);
}

function holesInRow(edits: Edits, row: number): number {
	return rasterize(edits, SIZE)
		.data.subarray(row * SIZE.width, (row + 1) * SIZE.width)
		.filter((value) => value === HOLE).length;
}

describe('the mask', () => {
	test('has the size of the photo, whatever is painted', () => {
		const mask = rasterize(edited(line(20)), { width: 4000, height: 3000 });
		expect([mask.width, mask.height, mask.data.length]).toEqual([4000, 3000, 12_000_000]);
	});

	test('contains only 0 and 255', () => {
		const mask = rasterize(edited(line(20), line(30)), SIZE);
		expect([...new Set(mask.data)].sort((a, b) => a - b)).toEqual([0, 255]);
	});

	test('applies the strokes in order', () => {
		expect(holesInRow(edited(line(20), line(20, true)), 20)).toBe(0);
		expect(holesInRow(edited(line(20, true), line(20)), 20)).toBeGreaterThan(40);
	});

	test('a tap leaves a disc', () => {
		const tap: Stroke = { kind: 'stroke', erase: false, dabs: [{ x: 30, y: 20, radius: 5 }] };
		expect(rasterize(edited(tap), SIZE).holes()).toBeCloseTo(Math.PI * 25, -1);
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
		const mask = rasterize(edited(growing), SIZE);
		const height = (x: number) =>
			Array.from({ length: SIZE.height }, (_, y) => mask.data[y * SIZE.width + x]).filter(Boolean).length;
		expect([height(15), height(45)]).toEqual([2, 12]);
	});
});

describe('undo and redo', () => {
	test('work by whole strokes, and restore the same mask', () => {
		const edits = edited(line(10), line(20), line(30));
		const back = undo(undo(edits));
		expect([10, 20, 30].map((row) => holesInRow(back, row) > 0)).toEqual([true, false, false]);
		expect(rasterize(redo(redo(back)), SIZE).data).toEqual(rasterize(edits, SIZE).data);
	});

	test('stop at the ends', () => {
		const edits = edited(line(10));
		expect(undo(undo(edits)).done).toEqual([]);
		expect(redo(edits)).toEqual(edits);
	});

	test('a new stroke discards the undone ones', () => {
		expect(redo(add(undo(edited(line(10), line(20))), line(30))).done).toEqual([line(10), line(30)]);
	});

	test('clearing can be undone', () => {
		const cleared = edited(line(10), CLEAR);
		expect(rasterize(cleared, SIZE).holes()).toBe(0);
		expect(holesInRow(undo(cleared), 10)).toBeGreaterThan(40);
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
	expect(rasterize(add(NO_EDITS, stroke), SIZE).holes() > 0).toBe(expected);
});

describe('an imported mask', () => {
	const imported = new Mask(SIZE.width, SIZE.height);
	imported.data.fill(HOLE, 0, SIZE.width);
	const start: Edit = { kind: 'reset', mask: imported };

	test('replaces the paint, and can be painted on', () => {
		const edits = edited(line(20), start, line(30));
		expect([0, 20, 30].map((row) => holesInRow(edits, row) > 0)).toEqual([true, false, true]);
	});

	test('is not modified', () => {
		rasterize(edited(start, line(1, true)), SIZE);
		expect(imported.holes()).toBe(SIZE.width);
	});

	test('can be undone', () => {
		expect(visible(undo(edited(line(20), start))).base).toBeNull();
	});
});

test.each([
	[[], true],
	[[line(10)], false],
	[[line(10), CLEAR], true],
	[[line(10), CLEAR, line(10, true)], true],
	[[{ kind: 'reset', mask: new Mask(60, 40) }], false]
] as [Edit[], boolean][])('isBlank: case %#', (edits, blank) => {
	expect(isBlank(edited(...edits))).toBe(blank);
});
