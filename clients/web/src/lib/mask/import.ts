import { UserError } from '../errors';
import type { Size } from '../view/view';
import { holesOf } from './luminance';
import { Mask } from './mask';

/** Pixels read back at a time: phones limit a canvas. */
const BAND_PIXELS = 1 << 21;

/**
 * Read a mask file.
 *
 * @throws UserError it is no picture, or has another size than the photo
 */
export async function importMask(file: Blob, photo: Size): Promise<Mask> {
	let picture: ImageBitmap;
	try {
		picture = await createImageBitmap(file, { colorSpaceConversion: 'none' });
	} catch {
		throw new UserError('That mask cannot be read. Choose a PNG, JPEG or WebP picture.');
	}
	const { width, height } = picture;
	if (width !== photo.width || height !== photo.height) {
		picture.close();
		throw new UserError(
			`That mask has ${width} × ${height} pixels and this photo ${photo.width} × ${photo.height}. ` +
				'Choose a mask that was made for this photo.'
		);
	}
	const mask = new Mask(width, height);
	const rowsAtOnce = Math.max(1, Math.min(height, Math.floor(BAND_PIXELS / width)));
	const canvas = new OffscreenCanvas(width, rowsAtOnce);
	const context = canvas.getContext('2d', { willReadFrequently: true });
	if (!context) throw new UserError('This browser has no memory left for that mask.');
	for (let row = 0; row < height; row += rowsAtOnce) {
		const rows = Math.min(rowsAtOnce, height - row);
		context.clearRect(0, 0, width, rowsAtOnce);
		context.drawImage(picture, 0, -row);
		mask.data.set(holesOf(context.getImageData(0, 0, width, rows).data), row * width);
	}
	picture.close();
	return mask;
}
