/** The position of an image on the stage, with panning and zooming. Sizes and positions are in CSS pixels. */

export interface Point {
	readonly x: number;
	readonly y: number;
}

export interface Size {
	readonly width: number;
	readonly height: number;
}

/** Point `p` of the image, in image pixels, is shown at `p * scale + (x, y)` on the stage. */
export interface View extends Point {
	readonly scale: number;
}

/** Fitting does not enlarge a small image beyond this. */
const MAX_FIT_SCALE = 6;
const MAX_SCALE = 16;
/** The image cannot be moved further than this from the stage's middle, as a fraction of the stage. */
const KEEP_MARGIN = 0.25;

/** Show the whole image, centred, as large as it fits. */
export function fit(image: Size, stage: Size, margin = 0): View {
	const room = {
		width: Math.max(1, stage.width - 2 * margin),
		height: Math.max(1, stage.height - 2 * margin)
	};
	const scale = Math.min(room.width / image.width, room.height / image.height, MAX_FIT_SCALE);
	return {
		scale,
		x: (stage.width - image.width * scale) / 2,
		y: (stage.height - image.height * scale) / 2
	};
}

export function toImage(view: View, stagePoint: Point): Point {
	return { x: (stagePoint.x - view.x) / view.scale, y: (stagePoint.y - view.y) / view.scale };
}

export function toStage(view: View, imagePoint: Point): Point {
	return { x: imagePoint.x * view.scale + view.x, y: imagePoint.y * view.scale + view.y };
}

export function pan(view: View, dx: number, dy: number): View {
	return { ...view, x: view.x + dx, y: view.y + dy };
}

/** Change the scale by a factor, keeping the image point under `at` in place. */
export function zoom(view: View, at: Point, factor: number, minScale: number): View {
	const scale = clamp(view.scale * factor, minScale, Math.max(MAX_SCALE, minScale));
	const ratio = scale / view.scale;
	return { scale, x: at.x - (at.x - view.x) * ratio, y: at.y - (at.y - view.y) * ratio };
}

/** Follow two fingers: their midpoint pans, their distance zooms. */
export function pinch(
	view: View,
	before: readonly [Point, Point],
	after: readonly [Point, Point],
	minScale: number
): View {
	const from = midpoint(before);
	const to = midpoint(after);
	const factor = Math.max(1, distance(...after)) / Math.max(1, distance(...before));
	return zoom(pan(view, to.x - from.x, to.y - from.y), to, factor, minScale);
}

/** Limit panning so that part of the image stays near the middle of the stage. */
export function keepInView(view: View, image: Size, stage: Size): View {
	const limit = (start: number, length: number, room: number) =>
		clamp(start, room * KEEP_MARGIN - length, room * (1 - KEEP_MARGIN));
	return {
		scale: view.scale,
		x: limit(view.x, image.width * view.scale, stage.width),
		y: limit(view.y, image.height * view.scale, stage.height)
	};
}

export function distance(a: Point, b: Point): number {
	return Math.hypot(a.x - b.x, a.y - b.y);
}

export function clamp(value: number, min: number, max: number): number {
	return Math.min(Math.max(value, min), max);
}

function midpoint([a, b]: readonly [Point, Point]): Point {
	return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
}
