import { UserError } from '../errors';
import { ApiError } from './errors';

export interface Trouble {
	readonly title: string;
	readonly text: string;
	/** What helps: the same again, a key, or nothing but another photo or mask. */
	readonly remedy: 'retry' | 'key' | 'other';
}

/** Say what went wrong, and what to do, to somebody who does not know what a status is. */
export function inPlainWords(error: unknown): Trouble {
	if (error instanceof UserError) return { title: error.message, text: '', remedy: 'other' };
	if (!(error instanceof ApiError)) {
		return { title: 'Something went wrong', text: 'Your painting is still here.', remedy: 'retry' };
	}
	const { status, message } = error;
	if (status === 0) {
		return {
			title: 'The server cannot be reached',
			text: 'Check the connection, then try again. Your painting is still here.',
			remedy: 'retry'
		};
	}
	if (status === 401 || status === 403) {
		return { title: 'This server asks for a key', text: 'Enter it to go on.', remedy: 'key' };
	}
	if (status === 413) {
		return {
			title: 'This photo is too large for the server',
			text: `${message} Make the photo smaller, then choose it again.`.trim(),
			remedy: 'other'
		};
	}
	if (status >= 400 && status < 500) {
		return { title: 'The server cannot use this photo', text: message, remedy: 'other' };
	}
	return { title: 'The server failed', text: 'Try again. Your painting is still here.', remedy: 'retry' };
}
