import { ApiError } from './errors';

const BUSY = 503;
/** Seconds to wait if the server does not say. */
const DEFAULT_WAIT = 5;

/**
 * Retry for as long as the server is busy (503), waiting as long as its `Retry-After` says.
 *
 * @param onWait called every second with the seconds left, and with 0 when the next attempt starts
 */
export async function retryWhileBusy<T>(
	attempt: () => Promise<T>,
	signal: AbortSignal,
	onWait: (seconds: number) => void
): Promise<T> {
	for (;;) {
		try {
			return await attempt();
		} catch (error) {
			if (!(error instanceof ApiError) || error.status !== BUSY) throw error;
			for (let left = Math.max(1, error.retryAfter ?? DEFAULT_WAIT); left > 0; left--) {
				onWait(left);
				await oneSecond(signal);
			}
			onWait(0);
		}
	}
}

function oneSecond(signal: AbortSignal): Promise<void> {
	return new Promise((resolve, reject) => {
		signal.throwIfAborted();
		const abort = () => {
			clearTimeout(timer);
			reject(signal.reason as DOMException);
		};
		const timer = setTimeout(() => {
			signal.removeEventListener('abort', abort);
			resolve();
		}, 1000);
		signal.addEventListener('abort', abort, { once: true });
	});
}
