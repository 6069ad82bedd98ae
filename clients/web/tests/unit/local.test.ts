import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { RIM, THICK } from '../../src/lib/local/constants.json';
import {
	areaWhere,
	blankArea,
	dilated,
	DISTANCE_UNIT,
	distances,
	doubled,
	enlarged,
	halved,
	reduced,
	type Area,
	type Picture
} from '../../src/lib/local/image';
import { fillHoles } from '../../src/lib/local/pyramid';
import type { ModelInput } from '../../src/lib/local/tiling';
import type { Size } from '../../src/lib/view/view';
// Made by scripts/local.py with OpenCV and the server's own modules.
import vectors from './local-vectors.json';

/** The distances that decide at which scale a pixel is filled, in pixels. */
const LIMITS = [THICK / 4, (THICK / 2 - RIM) / 2];

function digest(data: Uint8Array): string {
	return createHash('sha256').update(data).digest('hex');
}

// The image, the holes and the stand-in for a model are those of scripts/local.py.
function image({ width, height }: Size): Picture {
	const data = new Uint8Array(width * height * 3);
	for (let i = 0; i < data.length; i++) {
		const [x, y] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width)];
		data[i] = Math.floor((x * x * 3 + y * 7 + x * y + (i % 3) * 50) / 16) % 256;
	}
	return { width, height, data };
}

function hole({ width, height }: Size, kind: string): Area {
	const area = blankArea({ width, height });
	const radius = Math.floor(Math.min(height, width) / 4);
	for (let i = 0; i < area.data.length; i++) {
		const [x, y] = [i % width, Math.floor(i / width)];
		const disc = (x - Math.floor(width / 2)) ** 2 + (y - Math.floor(height / 3)) ** 2 < radius ** 2;
		const lines = (((x - y) % 190) + 190) % 190 < 3 || (x + 2 * y) % 310 < 2;
		area.data[i] = Number((kind !== 'lines' && disc) || (kind !== 'disc' && lines));
	}
	return area;
}

function standIn({ width, image, known }: ModelInput): Promise<Float32Array> {
	const plane = known.length;
	const filled = image.map((value, i) => {
		const at = i % plane;
		if (known[at]) return value;
		const pattern = (((at % width) * 5 + Math.floor(at / width) * 3) % 64) / 64;
		return Math.fround(pattern + image[i - at]! * known[0]!) / 2;
	});
	return Promise.resolve(filled);
}

test.each(vectors.pieces)('OpenCV’s operations at $width x $height', (expected) => {
	const picture = image(expected);
	const area = hole(expected, 'both');
	const distance = distances(area);
	const further = LIMITS.map((limit) => areaWhere(area, (i) => distance[i]! * DISTANCE_UNIT > limit));
	expect(further.map(({ data }) => digest(data))).toEqual(expected.further);
	expect(digest(dilated(area).data)).toBe(expected.dilated);
	expect(digest(doubled(picture).data)).toBe(expected.doubled);
	const canvas = { ...picture, data: picture.data.map((value, i) => (area.data[Math.floor(i / 3)] ? 0 : value)) };
	expect(digest(halved(canvas, area).data)).toBe(expected.halved);
});

test.each(vectors.searches)('$width x $height are reduced to $columns x $rows, and enlarged again', (expected) => {
	const size = { width: expected.columns, height: expected.rows };
	const there = Buffer.from(expected.reduced, 'base64');
	const here = Buffer.from(reduced(image(expected), size).data);
	expect(here).toHaveLength(there.length);
	// Halves are rounded up by OpenCV for some sizes, and its sums are float32.
	expect(Math.max(...here.map((value, i) => Math.abs(value - there[i]!)))).toBeLessThanOrEqual(1);
	expect(digest(enlarged(hole(size, 'both'), expected).data)).toBe(expected.enlarged);
});

test.each(vectors.fills)('$hole of $width x $height are filled as by the server', async (expected) => {
	const picture = image(expected);
	await fillHoles(picture, hole(expected, expected.hole), standIn);
	expect(digest(picture.data)).toBe(expected.filled);
});
