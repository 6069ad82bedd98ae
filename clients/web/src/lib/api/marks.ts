import { ApiError } from './errors';
import { postForImage, type PostOptions } from './post';
import { apiUrl } from './url';
import type { components } from './schema';

type FormField = keyof components['schemas']['MarksFormRequest'];

/** Status codes of a server, or of a web host in front of it, that does not have the route. */
const NO_ROUTE = [404, 405];

/**
 * Find scratches, dust, thin lines and pen strokes. Returns a mask of the photo's size as shown, white where the marks
 * are, as a PNG file. Throws the errors of `postForImage`.
 *
 * @param sensitivity in [0, 1]
 */
export function findMarks(photo: Blob, sensitivity: number, options: Omit<PostOptions, 'accept'>): Promise<Blob> {
	const form = new FormData();
	const set = (name: FormField, value: Blob | string) => form.set(name, value);
	set('image', photo);
	set('sensitivity', String(sensitivity));
	return postForImage(apiUrl('/masks/marks'), form, { accept: 'image/png', ...options });
}

/** Whether an error means that the server cannot find marks at all. */
export function isUnsupported(error: unknown): boolean {
	return error instanceof ApiError && NO_ROUTE.includes(error.status);
}
