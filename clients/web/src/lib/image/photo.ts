import type { Limits } from '../api/limits';
import { UserError } from '../errors';
import { newId } from '../id';
import type { Size } from '../view/view';
import { detectFileType, HEAD_BYTES, isAccepted, mediaTypeOf, type FileType } from './file-type';
import { hasAlpha, isAnimated, isTruncated } from './inspect';

/** An image file, unchanged. Its size is the displayed size: EXIF orientation is applied, as on the server. */
export interface Photo extends Size {
	readonly id: string;
	/** The name of the file that the user opened. */
	readonly name: string;
	readonly type: FileType;
	readonly file: Blob;
	/** The same picture as JPEG, to download, if `file` is the lossless result of a JPEG photo. */
	readonly jpeg?: Blob;
	/** Object URL for `<img>`, valid until `releasePhoto`. */
	readonly url: string;
	readonly animated: boolean;
	/** Whether it may have transparent parts to fill. */
	readonly alpha: boolean;
}

const DAMAGED = "This image is damaged and can't be opened. Choose another one.";
const MEGA = 1_000_000;
/** Fraction of the request reserved for the mask and the form encoding. */
const FORM_OVERHEAD = 0.02;

/**
 * Open a file that the user chose.
 *
 * @throws UserError the file cannot be used; the message says what to do
 */
export async function openPhoto(file: Blob, name: string, limits: Limits | null): Promise<Photo> {
	const type = detectFileType(new Uint8Array(await file.slice(0, HEAD_BYTES).arrayBuffer()));
	if (!isAccepted(type)) {
		const reason = type ? `This is a ${type} file` : "This file isn't an image we can open";
		throw new UserError(`${reason}. Choose a JPEG, PNG or WebP image.`);
	}
	const maxBytes = limits ? limits.max_body_bytes * (1 - FORM_OVERHEAD) : Infinity;
	if (file.size > maxBytes) {
		throw new UserError(
			`This file is ${mega(file.size)} MB; the limit is ${mega(maxBytes)} MB. ` +
				'Save it as a JPEG or make it smaller, then try again.'
		);
	}
	const bytes = new Uint8Array(await file.arrayBuffer());
	if (isTruncated(bytes, type)) throw new UserError(DAMAGED);
	// The media type of its content: its name and declared type may be wrong.
	const typed = file.slice(0, file.size, mediaTypeOf(type));
	const url = URL.createObjectURL(typed);
	try {
		const { width, height } = await sizeOf(url);
		if (limits && width * height > limits.max_pixels) {
			throw new UserError(
				`This photo is ${width} × ${height} pixels (${mega(width * height)} megapixels); the limit is ` +
					`${mega(limits.max_pixels)} megapixels. Make it smaller, then try again.`
			);
		}
		const [animated, alpha] = [isAnimated(bytes, type), hasAlpha(bytes, type)];
		return { id: newId(), name, type, file: typed, url, width, height, animated, alpha };
	} catch (error) {
		URL.revokeObjectURL(url);
		throw error;
	}
}

export function releasePhoto(photo: Photo): void {
	URL.revokeObjectURL(photo.url);
}

function sizeOf(url: string): Promise<Size> {
	return new Promise((resolve, reject) => {
		const image = new Image();
		image.onload = () => resolve({ width: image.naturalWidth, height: image.naturalHeight });
		image.onerror = () => reject(new UserError(DAMAGED));
		image.src = url;
	});
}

function mega(count: number): string {
	return (count / MEGA).toLocaleString('en', { maximumFractionDigits: 1 });
}
