/** Find marks: a port of `serving/core/marks.py`, for 8-bit pictures. */
import { HOLE } from '../mask/mask';
import type { Size } from '../view/view';
import { MARKS_LOOSEST, MARKS_MAX_PIXELS, MARKS_STRICTEST } from './constants.json';
import { areaWhere, dilated, enlarged, reduced, round, type Picture } from './image';
import type { Marks } from './messages';

/** Takes RGB in [0, 1], channel after channel, and returns the probability of a mark for each pixel. */
export type MarksNetwork = (size: Size, image: Float32Array) => Promise<Float32Array>;

/** What the network has found in a photo. */
export interface Search {
	readonly photo: Size;
	/** The size that was searched. */
	readonly size: Size;
	/** For each pixel of that size, in [0, 1]. */
	readonly probability: Float32Array;
}

/** Run the network on a picture, reduced if it is large. */
export async function searchMarks(picture: Picture, network: MarksNetwork): Promise<Search> {
	const { width, height } = picture;
	const scale = Math.min(1, Math.sqrt(MARKS_MAX_PIXELS / (width * height)));
	const size = { width: Math.max(1, round(width * scale)), height: Math.max(1, round(height * scale)) };
	const { data } = scale < 1 ? reduced(picture, size) : picture;
	const count = size.width * size.height;
	const image = new Float32Array(3 * count);
	for (let i = 0; i < data.length; i++) image[(i % 3) * count + Math.floor(i / 3)] = data[i]! / 255;
	return { photo: { width, height }, size, probability: await network(size, image) };
}

/** The marks of a search, for a sensitivity in [0, 1]. */
export function marksOf({ photo, size, probability }: Search, sensitivity: number): Marks {
	const least = Math.fround(MARKS_STRICTEST + (MARKS_LOOSEST - MARKS_STRICTEST) * sensitivity);
	const found = areaWhere(size, (i) => probability[i]! > least);
	return enlarged(dilated(found), photo).data.map((inside) => inside * HOLE);
}
