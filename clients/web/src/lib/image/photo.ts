import type { Limits } from '../api/limits';
import { UserError } from '../errors';
import type { Size } from '../view/view';
import { ACCEPTED, HEAD_BYTES, kindOf } from './kind';

/** A picture file, unchanged, and how it is shown: upright by its EXIF orientation, as the server will see it. */
export interface Photo extends Size {
	readonly name: string;
	readonly file: Blob;
	/** For `<img>`; lives until the photo is let go. */
	readonly url: string;
}

const MEGA = 1_000_000;
/** The share of a request that is left for the mask and the form around both. */
const BESIDES_PHOTO = 0.02;

/**
 * Look at a file that a person chose.
 *
 * @throws UserError it is no picture that can be filled; the message says what to do
 */
export async function openPhoto(file: Blob, name: string, limits: Limits | null): Promise<Photo> {
	const kind = kindOf(new Uint8Array(await file.slice(0, HEAD_BYTES).arrayBuffer()));
	if (!kind || !ACCEPTED.includes(kind)) {
		const what = kind ? `This is a ${kind} file` : 'This file is no picture that can be read';
		throw new UserError(`${what}. Choose a JPEG, PNG or WebP picture.`);
	}
	const mostBytes = limits ? limits.max_body_bytes * (1 - BESIDES_PHOTO) : Infinity;
	if (file.size > mostBytes) {
		throw new UserError(
			`This file has ${mega(file.size)} MB, and at most ${mega(mostBytes)} MB can be sent. ` +
				'Save it as JPEG, or smaller, and choose it again.'
		);
	}
	const url = URL.createObjectURL(file);
	try {
		const { width, height } = await sizeOf(url);
		if (limits && width * height > limits.max_pixels) {
			throw new UserError(
				`This photo has ${width} × ${height} pixels (${mega(width * height)} megapixels), and at most ` +
					`${mega(limits.max_pixels)} can be filled. Make it smaller and choose it again.`
			);
		}
		return { name, file, url, width, height };
	} catch (error) {
		URL.revokeObjectURL(url);
		throw error;
	}
}

export function letGo(photo: Photo): void {
	URL.revokeObjectURL(photo.url);
}

function sizeOf(url: string): Promise<Size> {
	return new Promise((resolve, reject) => {
		const image = new Image();
		image.onload = () => resolve({ width: image.naturalWidth, height: image.naturalHeight });
		image.onerror = () => reject(new UserError('This picture is damaged and cannot be shown. Choose another one.'));
		image.src = url;
	});
}

function mega(count: number): string {
	return (count / MEGA).toLocaleString('en', { maximumFractionDigits: 1 });
}
