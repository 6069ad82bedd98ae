/**
 * Fill holes of any width in pictures of any size, coarse to fine: a port of `serving/core/pyramid.py`, for 8-bit
 * pictures and a model that takes any size.
 */
import { MODEL_SIZE, RIM, THICK, WHOLE } from './constants.json';
import {
	areaWhere,
	blankArea,
	boundingBox,
	cropped,
	dilated,
	DISTANCE_UNIT,
	distances,
	doubled,
	halved,
	isEmpty,
	quarterCounts,
	type Area,
	type Picture
} from './image';
import { fillWindows, type Model } from './tiling';

const MARGIN = 1; // half-size pixels around a filled one that upscaling reads; `dilated` adds as many

/** Fill the holes of a picture in place; every other pixel stays. What is in the holes does not affect the result. */
export async function fillHoles(picture: Picture, hole: Area, model: Model): Promise<void> {
	hole.data.forEach((inside, i) => {
		if (inside) picture.data.fill(0, 3 * i, 3 * i + 3);
	});
	await fill(picture, hole, hole, model);
}

/** Fill the wanted part of the hole in place; the rest of the hole stays zero. */
async function fill(canvas: Picture, hole: Area, wanted: Area, model: Model): Promise<void> {
	if (isEmpty(wanted)) return;
	const longer = Math.max(hole.width, hole.height);
	if (longer <= MODEL_SIZE * WHOLE) return fillWindows(canvas, hole, wanted, model, longer);
	const core = await fillCore(canvas, hole, wanted, model);
	const without = (area: Area) => areaWhere(area, (i) => area.data[i] === 1 && !core.data[i]);
	await fillWindows(canvas, without(hole), without(wanted), model, MODEL_SIZE);
}

/** Fill the middle of wide holes in place, from half the scale. Returns where it was filled. */
async function fillCore(canvas: Picture, hole: Area, wanted: Area, model: Model): Promise<Area> {
	const inHole = quarterCounts(hole);
	const halfHole = areaWhere(inHole, (i) => inHole.data[i] === 4);
	// Opening by a disc is erosion, then dilation; a smaller dilation also excludes the rim.
	const inside = distances(halfHole);
	const notMiddle = areaWhere(halfHole, (i) => inside[i]! * DISTANCE_UNIT <= THICK / 4);
	const outside = distances(notMiddle);
	const reach = (THICK / 2 - RIM) / 2;
	const inWanted = quarterCounts(wanted);
	const halfCore = areaWhere(halfHole, (i) => outside[i]! * DISTANCE_UNIT <= reach && inWanted.data[i]! > 0);
	const core = blankArea(hole);
	if (isEmpty(halfCore)) return core;
	const half = halved(canvas, hole);
	const around = dilated(halfCore);
	const halfWanted = areaWhere(around, (i) => around.data[i] === 1 && halfHole.data[i] === 1);
	await fill(half, halfHole, halfWanted, model);
	pasteDoubled(canvas, core, half, halfCore);
	return core;
}

/** Upscale the filled part of the half-size picture by two, copy it into the canvas and mark it in `core`. */
function pasteDoubled(canvas: Picture, core: Area, half: Picture, halfCore: Area): void {
	const box = boundingBox(halfCore);
	const left = Math.max(box.left - MARGIN, 0);
	const top = Math.max(box.top - MARGIN, 0);
	const width = Math.min(box.left + box.width + MARGIN, half.width) - left;
	const height = Math.min(box.top + box.height + MARGIN, half.height) - top;
	const large = doubled(cropped(half, { left, top, width, height }));
	// An odd-sized picture ends one pixel earlier.
	const bottom = Math.min(2 * top + large.height, core.height);
	const right = Math.min(2 * left + large.width, core.width);
	for (let y = 2 * top; y < bottom; y++) {
		for (let x = 2 * left; x < right; x++) {
			if (!halfCore.data[(y >> 1) * half.width + (x >> 1)]) continue;
			const to = y * core.width + x;
			const from = 3 * ((y - 2 * top) * large.width + x - 2 * left);
			core.data[to] = 1;
			canvas.data.set(large.data.subarray(from, from + 3), 3 * to);
		}
	}
}
