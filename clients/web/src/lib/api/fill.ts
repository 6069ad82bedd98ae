import { ApiError, errorFrom } from './errors';
import { bearer } from './key';
import { apiUrl } from './url';
import type { components } from './schema';

const PNG = 'image/png';

type FormField = keyof components['schemas']['FormRequest'];

export interface FillOptions {
	model: string;
	/** The server's API key, or '' for none. */
	key: string;
	signal: AbortSignal;
	/** Called with the fraction of the request that has been uploaded, in [0, 1]. */
	onUpload: (fraction: number) => void;
}

/**
 * Fill the white part of the mask. Returns the whole image at its original size, in its own format where the server can:
 * of a JPEG it encodes again only the blocks that the mask touches. Otherwise it is a PNG file.
 *
 * Uses XMLHttpRequest because fetch does not report upload progress, and uploads from phones can be slow.
 *
 * @throws ApiError the server returned an error or could not be reached
 * @throws DOMException AbortError, when the signal is aborted
 */
export function fill(photo: Blob, mask: Blob, { model, key, signal, onUpload }: FillOptions): Promise<Blob> {
	const form = new FormData();
	const set = (name: FormField, file: Blob) => form.set(name, file, name);
	set('image', photo);
	set('mask', mask);
	return new Promise((resolve, reject) => {
		signal.throwIfAborted();
		const request = new XMLHttpRequest();
		const abort = () => request.abort();
		signal.addEventListener('abort', abort);
		request.open('POST', apiUrl('/predictions/{model}', { model }));
		request.responseType = 'blob';
		request.setRequestHeader('Accept', photo.type === PNG ? PNG : `${photo.type}, ${PNG};q=0.5`);
		if (key) request.setRequestHeader('Authorization', bearer(key));
		request.upload.onprogress = ({ loaded, total }) => onUpload(total ? loaded / total : 0);
		request.upload.onload = () => onUpload(1);
		request.onload = () => {
			const body = request.response as Blob;
			if (request.status === 200 && body.type.startsWith('image/')) resolve(body);
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
