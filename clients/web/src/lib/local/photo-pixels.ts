/** Converts image files to pixels and back, in a worker. */
import { mediaTypeOf } from '../image/file-type';
import { decodePng, encodePng, type Chunk, type Samples } from '../image/png';
import type { Size } from '../view/view';
import type { Picture } from './image';

/** A decoded photo. */
export interface Photo {
	readonly picture: Picture;
	/** One byte per pixel, or null if every pixel is opaque. */
	readonly alpha: Uint8Array<ArrayBuffer> | null;
	/** The chunks of a PNG file that say how it is shown. */
	readonly chunks: readonly Chunk[];
}

/** Chunks that say how colours are shown and how large a pixel is; they stay valid when pixels change. */
const KEPT_CHUNKS = ['cHRM', 'gAMA', 'iCCP', 'sRGB', 'cICP', 'pHYs'];
const OPAQUE = 255;
const BAND_ROWS = 256;
/** Quality of the JPEG for download, which is hardly distinguishable from the photo. */
const JPEG_QUALITY = 0.95;

/**
 * Decode an image file, with its EXIF orientation applied. The samples of an ordinary PNG file are those in the file;
 * other files are decoded by the browser, to 8 bits and sRGB.
 */
export async function decodePhoto(file: Blob): Promise<Photo> {
	if (file.type === mediaTypeOf('PNG')) {
		const decoded = await decodePng(new Uint8Array(await file.arrayBuffer()));
		if (decoded) {
			const chunks = decoded.chunks.filter(({ type }) => KEPT_CHUNKS.includes(type));
			return { ...separated(decoded.samples), chunks };
		}
	}
	return { ...separated(await drawn(file)), chunks: [] };
}

/** RGBA samples of `rows` rows of a bitmap, starting at row `top`. */
type RowReader = (bitmap: ImageBitmap, top: number, rows: number) => Promise<ArrayLike<number>>;

/** Decode a file with the browser, a band of rows at a time: the size of a canvas is limited. */
async function drawn(file: Blob): Promise<Samples> {
	const bitmap = await createImageBitmap(file, { imageOrientation: 'from-image', premultiplyAlpha: 'none' });
	try {
		const { width, height } = bitmap;
		const data = new Uint8Array(4 * width * height);
		const opaque = file.type === mediaTypeOf('JPEG');
		const read = (opaque ? null : textureReader(width)) ?? canvasReader(width);
		for (let top = 0; top < height; top += BAND_ROWS) {
			data.set(await read(bitmap, top, Math.min(BAND_ROWS, height - top)), 4 * width * top);
		}
		return { width, height, channels: 4, data };
	} finally {
		bitmap.close();
	}
}

/** Reads opaque pixels exactly. The colours of others are rounded: a 2D canvas stores them multiplied by alpha. */
function canvasReader(width: number): RowReader {
	const context = new OffscreenCanvas(width, BAND_ROWS).getContext('2d', { willReadFrequently: true });
	if (!context) throw new Error('this browser has no 2D canvas in workers');
	context.globalCompositeOperation = 'copy';
	return (bitmap, top, rows) => {
		context.drawImage(bitmap, 0, -top);
		return Promise.resolve(context.getImageData(0, 0, width, rows).data);
	};
}

/** Reads every pixel exactly, with WebGL. @returns null where that is not possible */
function textureReader(width: number): RowReader | null {
	const gl = new OffscreenCanvas(1, 1).getContext('webgl2');
	if (!gl || width > gl.getParameter(gl.MAX_TEXTURE_SIZE)) return null;
	const texture = gl.createTexture();
	gl.bindTexture(gl.TEXTURE_2D, texture);
	gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
	gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
	return async (bitmap, top, rows) => {
		const band = await createImageBitmap(bitmap, 0, top, width, rows, { premultiplyAlpha: 'none' });
		gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, band);
		band.close();
		const data = new Uint8Array(4 * width * rows);
		gl.readPixels(0, 0, width, rows, gl.RGBA, gl.UNSIGNED_BYTE, data);
		return data;
	};
}

function separated({ width, height, channels, data }: Samples): Pick<Photo, 'picture' | 'alpha'> {
	const count = width * height;
	const picture = { width, height, data: new Uint8Array(3 * count) };
	const alpha = channels % 2 === 0 ? new Uint8Array(count) : null;
	const grey = channels < 3;
	for (let i = 0; i < count; i++) {
		for (let channel = 0; channel < 3; channel++) {
			picture.data[3 * i + channel] = data[channels * i + (grey ? 0 : channel)]!;
		}
		if (alpha) alpha[i] = data[channels * (i + 1) - 1]!;
	}
	return { picture, alpha: alpha?.some((value) => value !== OPAQUE) ? alpha : null };
}

/** The pixels that are more transparent than opaque: one byte per pixel, 1 or 0. */
export function transparent({ picture, alpha }: Photo): Uint8Array<ArrayBuffer> {
	return alpha?.map((value) => Number(value <= OPAQUE / 2)) ?? new Uint8Array(picture.width * picture.height);
}

/** The photo with the pixels of an area opaque. */
export function withOpaque(photo: Photo, area: Uint8Array): Photo {
	return { ...photo, alpha: photo.alpha?.map((value, i) => (area[i] ? OPAQUE : value)) ?? null };
}

/** Whether no known pixel has a colour. */
export function isGrey({ data }: Picture, hole: Uint8Array): boolean {
	for (let i = 0; i < data.length; i += 3) {
		if (!hole[i / 3] && (data[i] !== data[i + 1] || data[i] !== data[i + 2])) return false;
	}
	return true;
}

/** Encode a photo without loss. */
export function encodePhoto({ picture, alpha, chunks }: Photo): Promise<Blob> {
	const { width, height } = picture;
	if (!alpha) return encodePng({ width, height, channels: 3, data: picture.data }, 'paeth', chunks);
	const data = new Uint8Array(4 * width * height);
	for (let i = 0; i < alpha.length; i++) {
		data.set(picture.data.subarray(3 * i, 3 * i + 3), 4 * i);
		data[4 * i + 3] = alpha[i]!;
	}
	return encodePng({ width, height, channels: 4, data }, 'paeth', chunks);
}

/** Encode a picture as JPEG. @returns null if it is too large for a canvas of this browser */
export async function encodeJpeg(picture: Picture): Promise<Blob | null> {
	const { width, height, data }: Size & Picture = picture;
	try {
		const canvas = new OffscreenCanvas(width, height);
		const context = canvas.getContext('2d');
		for (let top = 0; top < height; top += BAND_ROWS) {
			const band = new ImageData(width, Math.min(BAND_ROWS, height - top));
			const first = top * width;
			for (let i = 0; i < band.width * band.height; i++) {
				band.data.set(data.subarray(3 * (first + i), 3 * (first + i) + 3), 4 * i);
				band.data[4 * i + 3] = OPAQUE;
			}
			context?.putImageData(band, 0, top);
		}
		return await canvas.convertToBlob({ type: mediaTypeOf('JPEG'), quality: JPEG_QUALITY });
	} catch {
		return null;
	}
}
