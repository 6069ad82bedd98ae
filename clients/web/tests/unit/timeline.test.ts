import { describe, expect, test } from 'vitest';
import type { Photo } from '../../src/lib/image/photo';
import type { Edit } from '../../src/lib/mask/edits';
import { Mask } from '../../src/lib/mask/mask';
import {
	abandon,
	add,
	begin,
	nextJob,
	paintOf,
	pendingPaintOf,
	photoOf,
	photosOf,
	propose,
	redo,
	settle,
	undo,
	type Timeline
} from '../../src/lib/timeline';

function photo(id: string): Photo {
	const file = new Blob([id]);
	return { id, name: 'a.png', type: 'PNG', file, url: '', width: 60, height: 40, animated: false, alpha: false };
}

function stroke(y: number): Edit {
	return { kind: 'stroke', erase: false, dabs: [{ x: 10, y, radius: 2 }] };
}

const [ORIGINAL, FIRST, SECOND] = [photo('original'), photo('first'), photo('second')];
const [ONE, TWO, THREE] = [stroke(1), stroke(2), stroke(3)];
const START = begin(ORIGINAL);

function release(timeline: Timeline, mark: Edit): Timeline {
	return add(add(timeline, mark), { kind: 'removal', onRelease: true, photo: null });
}

function press(timeline: Timeline): Timeline {
	return add(timeline, { kind: 'removal', onRelease: false, photo: null });
}

/** Let the next removal succeed. */
function answer(timeline: Timeline, result: Photo): Timeline {
	return settle(timeline, nextJob(timeline)!.removal, result);
}

describe('removals on release', () => {
	test('run in order, each on the newest photo', () => {
		const queued = release(release(START, ONE), TWO);
		expect(nextJob(queued)).toMatchObject({ photo: ORIGINAL, paint: [ONE] });
		expect(pendingPaintOf(queued)).toEqual([ONE, TWO]);
		const half = answer(queued, FIRST);
		expect(photoOf(half)).toBe(FIRST);
		expect(nextJob(half)).toMatchObject({ photo: FIRST, paint: [TWO] });
		expect(pendingPaintOf(half)).toEqual([TWO]);
		const whole = answer(half, SECOND);
		expect([photoOf(whole), nextJob(whole), pendingPaintOf(whole)]).toEqual([SECOND, null, []]);
	});

	test('are undone and redone together with their stroke', () => {
		const done = answer(release(answer(release(START, ONE), FIRST), TWO), SECOND);
		const back = undo(done);
		expect([photoOf(back), paintOf(back)]).toEqual([FIRST, []]);
		expect(undo(back)).toMatchObject({ done: [] });
		expect(redo(redo(undo(back)))).toEqual(done);
		expect(nextJob(redo(back))).toBeNull();
	});

	test('can be undone while they wait, and are run again when redone', () => {
		const queued = release(release(START, ONE), TWO);
		const back = undo(queued);
		expect(nextJob(answer(back, FIRST))).toBeNull();
		expect(nextJob(redo(answer(back, FIRST)))).toMatchObject({ photo: FIRST, paint: [TWO] });
	});
});

describe('a removal of collected paint', () => {
	const pressed = press(add(add(START, ONE), TWO));

	test('takes all of it; newer paint waits', () => {
		const more = add(pressed, THREE);
		expect(nextJob(more)?.paint).toEqual([ONE, TWO]);
		expect([pendingPaintOf(more), paintOf(more)]).toEqual([[ONE, TWO], [THREE]]);
		expect(paintOf(answer(more, FIRST))).toEqual([THREE]);
	});

	test('is undone on its own, so that the paint can be changed', () => {
		const back = undo(answer(pressed, FIRST));
		expect([photoOf(back), paintOf(back)]).toEqual([ORIGINAL, [ONE, TWO]]);
		expect(photoOf(redo(back))).toBe(FIRST);
		expect(paintOf(redo(undo(undo(back))))).toEqual([ONE]);
	});
});

test('abandoned removals leave all their paint', () => {
	const queued = release(release(answer(release(START, ONE), FIRST), TWO), THREE);
	const left = abandon(queued);
	expect([nextJob(left), photoOf(left), paintOf(left)]).toEqual([null, FIRST, [TWO, THREE]]);
});

test('a new entry discards the undone ones, and their photos', () => {
	const back = undo(answer(release(START, ONE), FIRST));
	expect(photosOf(back)).toEqual([ORIGINAL, FIRST]);
	expect(photosOf(add(back, TWO))).toEqual([ORIGINAL]);
});

test('undo and redo stop at the ends', () => {
	expect(undo(START)).toEqual(START);
	expect(redo(START)).toEqual(START);
});

describe('a proposal', () => {
	const [FEW, MANY] = [new Mask(60, 40), new Mask(60, 40)];
	const few: Edit = { kind: 'proposal', mask: FEW };
	const many: Edit = { kind: 'proposal', mask: MANY };

	test('adds to the paint, and is undone in one step', () => {
		const proposed = propose(add(START, ONE), FEW);
		expect(paintOf(proposed)).toEqual([ONE, few]);
		expect(paintOf(undo(proposed))).toEqual([ONE]);
	});

	test('replaces the one before, below what was painted and erased since', () => {
		const edited = add(propose(add(START, ONE), FEW), TWO);
		expect(paintOf(propose(edited, MANY))).toEqual([ONE, many, TWO]);
		expect(paintOf(propose(edited, null))).toEqual([ONE, TWO]);
		expect(propose(START, null)).toBe(START);
	});

	test('does not replace one that a removal has used, or that a reset has made part of the paint', () => {
		const removed = answer(press(propose(START, FEW)), FIRST);
		expect(paintOf(propose(removed, MANY))).toEqual([many]);
		expect(paintOf(undo(undo(propose(removed, MANY))))).toEqual([few]);
		const reset: Edit = { kind: 'reset', mask: FEW };
		expect(paintOf(propose(add(propose(START, FEW), reset), MANY))).toEqual([few, reset, many]);
	});
});
