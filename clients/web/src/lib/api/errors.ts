import type { components } from './schema';

type ErrorBody = components['schemas']['ErrorBody'];

/** An error response. `status` is 0 when there was no response at all. */
export class ApiError extends Error {
	constructor(
		readonly status: number,
		message = '',
		/** Seconds to wait before the next attempt, from `Retry-After`. */
		readonly retryAfter: number | null = null
	) {
		super(message);
	}
}

/** Parse an error response. A proxy or TorchServe's front end may send another body, or none. */
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
