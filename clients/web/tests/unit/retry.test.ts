import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ApiError, errorFrom } from '../../src/lib/api/errors';
import { retryWhileBusy } from '../../src/lib/api/retry';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('waits as long as the server asks, then retries', async () => {
	const busy = errorFrom(503, '{}', '3');
	const attempt = vi.fn().mockRejectedValueOnce(busy).mockRejectedValueOnce(busy).mockResolvedValue('filled');
	const waits: number[] = [];
	const answer = retryWhileBusy(attempt, new AbortController().signal, (seconds) => waits.push(seconds));
	await vi.advanceTimersByTimeAsync(2999);
	expect(attempt).toHaveBeenCalledTimes(1);
	await vi.advanceTimersByTimeAsync(1);
	expect(attempt).toHaveBeenCalledTimes(2);
	await vi.advanceTimersByTimeAsync(3000);
	expect(await answer).toBe('filled');
	expect(waits).toEqual([3, 2, 1, 0, 3, 2, 1, 0]);
});

test('waits for a default time if the server gives none, as with TorchServe', async () => {
	const attempt = vi
		.fn()
		.mockRejectedValueOnce(errorFrom(503, '', null))
		.mockResolvedValue('filled');
	const answer = retryWhileBusy(attempt, new AbortController().signal, () => undefined);
	await vi.advanceTimersByTimeAsync(4999);
	expect(attempt).toHaveBeenCalledTimes(1);
	await vi.advanceTimersByTimeAsync(1);
	expect(await answer).toBe('filled');
});

test('a Retry-After of 0 still waits', async () => {
	const attempt = vi
		.fn()
		.mockRejectedValueOnce(errorFrom(503, '', '0'))
		.mockResolvedValue('filled');
	const answer = retryWhileBusy(attempt, new AbortController().signal, () => undefined);
	await vi.advanceTimersByTimeAsync(999);
	expect(attempt).toHaveBeenCalledTimes(1);
	await vi.advanceTimersByTimeAsync(1);
	await answer;
});

test('can be cancelled while waiting', async () => {
	const stop = new AbortController();
	const attempt = vi.fn().mockRejectedValue(errorFrom(503, '', '30'));
	const answer = retryWhileBusy(attempt, stop.signal, () => undefined);
	const refused = expect(answer).rejects.toThrow(/abort/i);
	await vi.advanceTimersByTimeAsync(1500);
	stop.abort();
	await refused;
	await vi.advanceTimersByTimeAsync(60_000);
	expect(attempt).toHaveBeenCalledTimes(1);
	expect(vi.getTimerCount()).toBe(0);
});

test('does not retry after any other error', async () => {
	const attempt = vi.fn().mockRejectedValue(new ApiError(400, 'no'));
	await expect(retryWhileBusy(attempt, new AbortController().signal, () => undefined)).rejects.toThrow('no');
	expect(attempt).toHaveBeenCalledTimes(1);
});
