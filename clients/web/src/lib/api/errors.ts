import type { components } from './schema';

type ErrorBody = components['schemas']['ErrorBody'];

/** No answer, or none but an error. `status` is 0 where there was no answer. */
export class ApiError extends Error {
	constructor(
		readonly status: number,
		message = '',
		/** Seconds after which the server asks to be asked again. */
		readonly retryAfter: number | null = null
	) {
		super(message);
	}
}

/** Read an error's body; a proxy, or TorchServe's front end, may have sent another one, or none. */
export function errorFrom(status: number, body: string, retryAfter: string | null): ApiError {
	const seconds = Number.parseInt(retryAfter ?? '', 10);
	return new ApiError(status, messageIn(body), Number.isFinite(seconds) ? Math.max(0, seconds) : null);
}

function messageIn(body: string): string {
	try {
		const { message } = JSON.parse(body) as Partial<ErrorBody>;
		return typeof message === 'string' ? message : '';
	} catch {
		return '';
	}
}
