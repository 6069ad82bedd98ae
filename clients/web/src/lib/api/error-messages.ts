import { OfflineError, UserError } from '../errors';
import { ApiError } from './errors';

export interface ErrorMessage {
	readonly title: string;
	readonly text: string;
	/** What the user can do about it: try again, enter an access key, or choose another photo or mask ('none'). */
	readonly action: 'retry' | 'key' | 'none';
	/** Whether the server did not answer, so that working on this device is offered. */
	readonly unreachable?: boolean;
}

/**
 * Describe an error in plain language, with what to do about it.
 *
 * @param key the access key that was sent, or '' for none
 */
export function describeError(error: unknown, key = ''): ErrorMessage {
	if (error instanceof UserError) return { title: error.message, text: '', action: 'none' };
	if (error instanceof OfflineError) {
		return {
			title: "Can't download the model",
			text: 'Check your connection and try again. Your work is still here.',
			action: 'retry'
		};
	}
	if (!(error instanceof ApiError)) {
		return { title: 'Something went wrong', text: 'Try again. Your work is still here.', action: 'retry' };
	}
	const { status, message } = error;
	if (status === 0) {
		return {
			title: "Can't reach the server",
			text: 'Check your connection and try again. Your work is still here.',
			action: 'retry',
			unreachable: true
		};
	}
	if (status === 401 || status === 403) {
		return key
			? { title: "That access key isn't right.", text: 'Check it and try again.', action: 'key' }
			: { title: 'This server needs an access key.', text: '', action: 'key' };
	}
	if (status === 408) {
		return {
			title: 'The upload took too long',
			text: 'Check your connection and try again. Your work is still here.',
			action: 'retry'
		};
	}
	if (status === 413) {
		return {
			title: 'This photo is too large for the server',
			text: `${message} Make it smaller, then open it again.`.trim(),
			action: 'none'
		};
	}
	if (status >= 400 && status < 500) {
		return { title: "The server can't use this photo", text: message, action: 'none' };
	}
	return { title: 'The server had a problem', text: 'Try again. Your work is still here.', action: 'retry' };
}
