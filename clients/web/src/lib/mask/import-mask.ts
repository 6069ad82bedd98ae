import { UserError } from '../errors';
import type { Size } from '../view/view';
import { holesFromRgba } from './threshold';
import { Mask } from './mask';

/** Pixels read at a time: phones limit the size of a canvas. */
const BAND_PIXELS = 1 << 21;

/**
 * Read a mask file.
 *
 * @throws UserError the file is not an image, or its size differs from the photo's
 */
export async function importMask(file: Blob, photo: Size): Promise<Mask> {
	let image: ImageBitmap;
	try {
		image = await createImageBitmap(file, { colorSpaceConversion: 'none' });
	} catch {
		throw new UserError("Can't read that mask. Choose a PNG, JPEG or WebP image.");
	}
	const { width, height } = image;
	if (width !== photo.width || height !== photo.height) {
		image.close();
		throw new UserError(
			`The mask is ${width} × ${height} pixels, but the photo is ${photo.width} × ${photo.height}. ` +
				'Choose a mask made for this photo.'
		);
	}
	const mask = new Mask(width, height);
	const rowsAtOnce = Math.max(1, Math.min(height, Math.floor(BAND_PIXELS / width)));
	const canvas = new OffscreenCanvas(width, rowsAtOnce);
	const context = canvas.getContext('2d', { willReadFrequently: true });
	if (!context) throw new UserError('The browser ran out of memory for this mask.');
	for (let row = 0; row < height; row += rowsAtOnce) {
		const rows = Math.min(rowsAtOnce, height - row);
		context.clearRect(0, 0, width, rowsAtOnce);
		context.drawImage(image, 0, -row);
		mask.data.set(holesFromRgba(context.getImageData(0, 0, width, rows).data), row * width);
	}
	image.close();
	return mask;
}
