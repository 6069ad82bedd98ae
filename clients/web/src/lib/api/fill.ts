import { ApiError, errorFrom } from './errors';
import { bearer } from './key';
import { apiUrl } from './url';
import type { components } from './schema';

/** The server's default model. */
const MODEL = 'inpaint';

type FormField = keyof components['schemas']['FormRequest'];

export interface FillOptions {
	/** The server's API key, or '' for none. */
	key: string;
	signal: AbortSignal;
	/** Called with the fraction of the request that has been uploaded, in [0, 1]. */
	onUpload: (fraction: number) => void;
}

/**
 * Fill the white part of the mask. Returns the whole image as a PNG file, at its original size.
 *
 * Uses XMLHttpRequest because fetch does not report upload progress, and uploads from phones can be slow.
 *
 * @throws ApiError the server returned an error or could not be reached
 * @throws DOMException AbortError, when the signal is aborted
 */
export function fill(photo: Blob, mask: Blob, { key, signal, onUpload }: FillOptions): Promise<Blob> {
	const form = new FormData();
	const set = (name: FormField, file: Blob) => form.set(name, file, name);
	set('image', photo);
	set('mask', mask);
	return new Promise((resolve, reject) => {
		signal.throwIfAborted();
		const request = new XMLHttpRequest();
		const abort = () => request.abort();
		signal.addEventListener('abort', abort);
		request.open('POST', apiUrl('/predictions/{model}', { model: MODEL }));
		request.responseType = 'blob';
		request.setRequestHeader('Accept', 'image/png');
		if (key) request.setRequestHeader('Authorization', bearer(key));
		request.upload.onprogress = ({ loaded, total }) => onUpload(total ? loaded / total : 0);
		request.upload.onload = () => onUpload(1);
		request.onload = () => {
			const body = request.response as Blob;
			if (request.status === 200 && body.type === 'image/png') resolve(body);
			else if (request.status === 200) reject(new ApiError(0));
			else {
				const retryAfter = request.getResponseHeader('Retry-After');
				void body.text().then((text) => reject(errorFrom(request.status, text, retryAfter)));
			}
		};
		request.onerror = () => reject(new ApiError(0));
		request.onabort = () => reject(signal.reason as DOMException);
		request.onloadend = () => signal.removeEventListener('abort', abort);
		request.send(form);
	});
}
