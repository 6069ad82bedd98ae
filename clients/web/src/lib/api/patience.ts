import { ApiError } from './errors';

const BUSY = 503;
/** Seconds to wait where the server does not say. */
const USUAL_WAIT = 5;

/**
 * Try until the server has a place free, waiting as long as it asks to.
 *
 * @param onWait called every second with the seconds that are left, and with 0 when the next try begins
 */
export async function withPatience<T>(
	attempt: () => Promise<T>,
	signal: AbortSignal,
	onWait: (seconds: number) => void
): Promise<T> {
	for (;;) {
		try {
			return await attempt();
		} catch (error) {
			if (!(error instanceof ApiError) || error.status !== BUSY) throw error;
			for (let left = Math.max(1, error.retryAfter ?? USUAL_WAIT); left > 0; left--) {
				onWait(left);
				await second(signal);
			}
			onWait(0);
		}
	}
}

function second(signal: AbortSignal): Promise<void> {
	return new Promise((resolve, reject) => {
		signal.throwIfAborted();
		const stop = () => {
			clearTimeout(timer);
			reject(signal.reason as DOMException);
		};
		const timer = setTimeout(() => {
			signal.removeEventListener('abort', stop);
			resolve();
		}, 1000);
		signal.addEventListener('abort', stop, { once: true });
	});
}
