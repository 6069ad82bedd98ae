import { ApiError, errorFrom } from './errors';
import { address } from './place';
import type { components } from './schema';

type FormField = keyof components['schemas']['FormRequest'];

export interface FillOptions {
	/** The server's API key, or '' for none. */
	key: string;
	signal: AbortSignal;
	/** Called with the share of the request that has left, in [0, 1]. */
	onSent: (share: number) => void;
}

/**
 * Have the white part of the mask filled. Answers the whole picture as a PNG file, at its own size.
 *
 * This is XMLHttpRequest because fetch does not tell how far an upload is, and a phone's takes a while.
 *
 * @throws ApiError the server said no, or nothing
 * @throws DOMException AbortError, when the signal says so
 */
export function fill(photo: Blob, mask: Blob, { key, signal, onSent }: FillOptions): Promise<Blob> {
	const form = new FormData();
	const set = (name: FormField, file: Blob) => form.set(name, file, name);
	set('image', photo);
	set('mask', mask);
	return new Promise((resolve, reject) => {
		signal.throwIfAborted();
		const request = new XMLHttpRequest();
		const abort = () => request.abort();
		signal.addEventListener('abort', abort);
		request.open('POST', address('/predictions/inpaint'));
		request.responseType = 'blob';
		request.setRequestHeader('Accept', 'image/png');
		if (key) request.setRequestHeader('Authorization', `Bearer ${key}`);
		request.upload.onprogress = ({ loaded, total }) => onSent(total ? loaded / total : 0);
		request.upload.onload = () => onSent(1);
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
