import { HOLE, KNOWN } from './mask';

/**
 * Tell holes from RGBA samples as the server does: white (at least half) is the hole, and what is transparent is laid
 * on black.
 *
 * @param rgba four bytes a pixel, not premultiplied
 */
export function holesOf(rgba: Uint8ClampedArray): Uint8Array<ArrayBuffer> {
	const holes = new Uint8Array(rgba.length / 4);
	for (let pixel = 0, i = 0; pixel < holes.length; pixel++, i += 4) {
		const [red, green, blue, alpha] = [rgba[i]!, rgba[i + 1]!, rgba[i + 2]!, rgba[i + 3]!];
		const grey = Math.round(0.299 * red + 0.587 * green + 0.114 * blue);
		holes[pixel] = grey * alpha >= 128 * 255 ? HOLE : KNOWN;
	}
	return holes;
}
