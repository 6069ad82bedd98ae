/** Where a picture stands on the stage, and how it is moved and zoomed. Sizes and places are in CSS pixels. */

export interface Point {
	readonly x: number;
	readonly y: number;
}

export interface Size {
	readonly width: number;
	readonly height: number;
}

/** A place `p` of the picture, in its own pixels, is shown at `p * scale + (x, y)` on the stage. */
export interface View extends Point {
	readonly scale: number;
}

/** A small picture is not blown up beyond this to fill the stage. */
const LARGEST_FIT = 6;
const LARGEST_SCALE = 16;
/** How much of the stage's middle a picture may not leave, as a share of the stage. */
const HELD = 0.25;

/** Show the whole picture, centred, as large as it goes. */
export function fit(picture: Size, stage: Size, margin = 0): View {
	const room = {
		width: Math.max(1, stage.width - 2 * margin),
		height: Math.max(1, stage.height - 2 * margin)
	};
	const scale = Math.min(room.width / picture.width, room.height / picture.height, LARGEST_FIT);
	return {
		scale,
		x: (stage.width - picture.width * scale) / 2,
		y: (stage.height - picture.height * scale) / 2
	};
}

export function toPicture(view: View, stagePoint: Point): Point {
	return { x: (stagePoint.x - view.x) / view.scale, y: (stagePoint.y - view.y) / view.scale };
}

export function toStage(view: View, picturePoint: Point): Point {
	return { x: picturePoint.x * view.scale + view.x, y: picturePoint.y * view.scale + view.y };
}

export function pan(view: View, dx: number, dy: number): View {
	return { ...view, x: view.x + dx, y: view.y + dy };
}

/** Change the scale by a factor while the picture's point under `at` stays where it is. */
export function zoom(view: View, at: Point, factor: number, smallest: number): View {
	const scale = clamp(view.scale * factor, smallest, Math.max(LARGEST_SCALE, smallest));
	const ratio = scale / view.scale;
	return { scale, x: at.x - (at.x - view.x) * ratio, y: at.y - (at.y - view.y) * ratio };
}

/** Follow two fingers: what was under their middle stays there, their distance sets the scale. */
export function pinch(
	view: View,
	before: readonly [Point, Point],
	after: readonly [Point, Point],
	smallest: number
): View {
	const from = middle(before);
	const to = middle(after);
	const factor = Math.max(1, distance(...after)) / Math.max(1, distance(...before));
	return zoom(pan(view, to.x - from.x, to.y - from.y), to, factor, smallest);
}

/** Bring back a picture that was moved off the stage, so that part of it stays in the middle. */
export function keepInSight(view: View, picture: Size, stage: Size): View {
	const held = (start: number, length: number, room: number) => clamp(start, room * HELD - length, room * (1 - HELD));
	return {
		scale: view.scale,
		x: held(view.x, picture.width * view.scale, stage.width),
		y: held(view.y, picture.height * view.scale, stage.height)
	};
}

export function distance(a: Point, b: Point): number {
	return Math.hypot(a.x - b.x, a.y - b.y);
}

export function clamp(value: number, least: number, most: number): number {
	return Math.min(Math.max(value, least), most);
}

function middle([a, b]: readonly [Point, Point]): Point {
	return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
}
