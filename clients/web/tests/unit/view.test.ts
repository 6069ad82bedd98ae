import { describe, expect, test } from 'vitest';
import { Brush, MAX_BRUSH_SIZE, MIN_BRUSH_SIZE } from '../../src/lib/mask/brush.svelte';
import { fit, keepInView, pan, pinch, toImage, toStage, zoom } from '../../src/lib/view/view';

const STAGE = { width: 360, height: 500 };
const PHOTO = { width: 4000, height: 3000 };

describe('fitting', () => {
	test('shows the whole photo in the middle', () => {
		const view = fit(PHOTO, STAGE);
		expect(view.scale).toBeCloseTo(360 / 4000);
		expect(toStage(view, { x: 2000, y: 1500 })).toEqual({ x: 180, y: 250 });
	});

	test('leaves a margin', () => {
		const view = fit(PHOTO, STAGE, 20);
		expect(view.x).toBeCloseTo(20);
		expect(view.x + PHOTO.width * view.scale).toBeCloseTo(340);
	});

	test('limits the scale of a tiny image', () => {
		expect(fit({ width: 8, height: 8 }, STAGE).scale).toBe(6);
	});
});

test('points convert to the stage and back', () => {
	const view = { scale: 0.37, x: -81.5, y: 22 };
	const place = { x: 1234.5, y: 67.8 };
	const back = toImage(view, toStage(view, place));
	expect(back.x).toBeCloseTo(place.x);
	expect(back.y).toBeCloseTo(place.y);
});

describe('zooming', () => {
	const view = fit(PHOTO, STAGE);
	const at = { x: 90, y: 240 };

	test.each([2, 0.8, 1])('by %f keeps the point under the pointer', (factor) => {
		const zoomed = zoom(view, at, factor, 0.01);
		expect(zoomed.scale).toBeCloseTo(view.scale * factor);
		expect(toStage(zoomed, toImage(view, at)).x).toBeCloseTo(at.x);
		expect(toStage(zoomed, toImage(view, at)).y).toBeCloseTo(at.y);
	});

	test('is limited', () => {
		expect(zoom(view, at, 1e9, 0.05).scale).toBe(16);
		expect(zoom(view, at, 1e-9, 0.05).scale).toBe(0.05);
	});

	test('keeps the two points under two fingers', () => {
		const before = [
			{ x: 100, y: 200 },
			{ x: 200, y: 200 }
		] as const;
		const after = [
			{ x: 60, y: 260 },
			{ x: 260, y: 260 }
		] as const;
		const pinched = pinch(view, before, after, 0.01);
		for (const i of [0, 1] as const) {
			const place = toStage(pinched, toImage(view, before[i]));
			expect(place.x).toBeCloseTo(after[i].x);
			expect(place.y).toBeCloseTo(after[i].y);
		}
	});
});

test('panning keeps part of the photo visible', () => {
	const view = fit(PHOTO, STAGE);
	for (const [dx, dy] of [
		[1e4, 0],
		[-1e4, 0],
		[0, 1e4],
		[0, -1e4]
	] as const) {
		const held = keepInView(pan(view, dx, dy), PHOTO, STAGE);
		expect(held.x).toBeLessThan(STAGE.width);
		expect(held.y).toBeLessThan(STAGE.height);
		expect(held.x + PHOTO.width * held.scale).toBeGreaterThan(0);
		expect(held.y + PHOTO.height * held.scale).toBeGreaterThan(0);
	}
	expect(keepInView(view, PHOTO, STAGE)).toEqual(view);
});

describe('the brush', () => {
	test('has the same size on the screen at every zoom', () => {
		const brush = new Brush();
		brush.resize(40);
		for (const scale of [0.09, 1, 8]) {
			const dab = brush.dab({ x: 5, y: 5 }, { scale, x: 0, y: 0 });
			expect(dab.radius * scale).toBeCloseTo(20);
		}
	});

	test('is finer with light pen pressure', () => {
		const brush = new Brush();
		const view = { scale: 1, x: 0, y: 0 };
		const radii = [0.1, 0.5, 1].map((pressure) => brush.dab({ x: 0, y: 0 }, view, pressure).radius);
		expect(radii).toEqual([...radii].sort((a, b) => a - b));
		expect(radii[2]).toBe(brush.size / 2);
		expect(radii[0]).toBeGreaterThan(0);
	});

	test('grows and shrinks within its limits', () => {
		const brush = new Brush();
		for (let i = 0; i < 100; i++) brush.larger();
		expect(brush.size).toBe(MAX_BRUSH_SIZE);
		for (let i = 0; i < 100; i++) brush.smaller();
		expect(brush.size).toBe(MIN_BRUSH_SIZE);
		brush.larger();
		expect(brush.size).toBeGreaterThan(MIN_BRUSH_SIZE);
	});
});
