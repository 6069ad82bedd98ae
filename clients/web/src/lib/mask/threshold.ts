import { HOLE, KNOWN } from './mask';

/**
 * Convert RGBA samples to a mask as the server does: grey values of 128 and above are the hole, and transparent pixels
 * are composited on black.
 *
 * @param rgba four bytes per pixel, not premultiplied
 */
export function holesFromRgba(rgba: Uint8ClampedArray): Uint8Array<ArrayBuffer> {
	const holes = new Uint8Array(rgba.length / 4);
	for (let pixel = 0, i = 0; pixel < holes.length; pixel++, i += 4) {
		const [red, green, blue, alpha] = [rgba[i]!, rgba[i + 1]!, rgba[i + 2]!, rgba[i + 3]!];
		const grey = Math.round(0.299 * red + 0.587 * green + 0.114 * blue);
		holes[pixel] = grey * alpha >= 128 * 255 ? HOLE : KNOWN;
	}
	return holes;
}
