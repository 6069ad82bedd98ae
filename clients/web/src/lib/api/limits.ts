import { apiUrl } from './url';
import type { components } from './schema';

export type Limits = components['schemas']['Limits'];

const TIMEOUT_MS = 3000;

let cached: Promise<Limits | null> | undefined;

/** The server's size limits, requested once; null if the server does not report them, as TorchServe does not. */
export function serverLimits(): Promise<Limits | null> {
	cached ??= fetchLimits().catch(() => {
		cached = undefined;
		return null;
	});
	return cached;
}

async function fetchLimits(): Promise<Limits | null> {
	const response = await fetch(apiUrl('/v2'), { signal: AbortSignal.timeout(TIMEOUT_MS) });
	if (!response.ok) return null;
	const metadata = (await response.json()) as Partial<components['schemas']['ServerMetadata']>;
	return metadata.limits ?? null;
}
