import { ApiError, errorFrom } from './errors';
import { bearer } from './key';

export interface PostOptions {
	/** The media types of images that are accepted, as in the `Accept` header. */
	accept: string;
	/** The server's API key, or '' for none. */
	key: string;
	signal: AbortSignal;
	/** Called with the fraction of the request that has been uploaded, in [0, 1]. */
	onUpload?: (fraction: number) => void;
}

/**
 * Post a form and return the image in the response.
 *
 * Uses XMLHttpRequest because fetch does not report upload progress, and uploads from phones can be slow.
 *
 * @throws ApiError the server returned an error or could not be reached
 * @throws DOMException AbortError, when the signal is aborted
 */
export function postForImage(url: URL, form: FormData, { accept, key, signal, onUpload }: PostOptions): Promise<Blob> {
	return new Promise((resolve, reject) => {
		signal.throwIfAborted();
		const request = new XMLHttpRequest();
		const abort = () => request.abort();
		signal.addEventListener('abort', abort);
		request.open('POST', url);
		request.responseType = 'blob';
		request.setRequestHeader('Accept', accept);
		if (key) request.setRequestHeader('Authorization', bearer(key));
		if (onUpload) {
			request.upload.onprogress = ({ loaded, total }) => onUpload(total ? loaded / total : 0);
			request.upload.onload = () => onUpload(1);
		}
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
