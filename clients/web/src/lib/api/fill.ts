import { postForImage, type PostOptions } from './post';
import { apiUrl } from './url';
import type { components } from './schema';

const PNG = 'image/png';

type FormField = keyof components['schemas']['FormRequest'];

export interface FillOptions extends Omit<PostOptions, 'accept'> {
	model: string;
}

/**
 * Fill the white part of the mask or, without a mask, the transparent part of the photo.
 *
 * Returns the whole image at its original size, in its own format if the server can encode it: in a JPEG, it encodes
 * again only the blocks that the mask touches. Otherwise it is a PNG file. Throws the errors of `postForImage`.
 */
export function fill(photo: Blob, mask: Blob | null, { model, ...options }: FillOptions): Promise<Blob> {
	const form = new FormData();
	const set = (name: FormField, file: Blob) => form.set(name, file, name);
	set('image', photo);
	if (mask) set('mask', mask);
	const accept = photo.type === PNG ? PNG : `${photo.type}, ${PNG};q=0.5`;
	return postForImage(apiUrl('/predictions/{model}', { model }), form, { accept, ...options });
}
