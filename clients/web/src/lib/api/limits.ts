import { apiUrl } from './url';
import type { components } from './schema';

export type Limits = components['schemas']['Limits'];

export interface ServerFacts {
	/** Whether a server answers at all: a plain web host has no API. */
	readonly answers: boolean;
	/** Its size limits; null if it does not report them, as with TorchServe. */
	readonly limits: Limits | null;
}

let cached: Promise<ServerFacts> | undefined;

/** What the server reports about itself. Requested once; again only if there was no answer. */
export function serverFacts(): Promise<ServerFacts> {
	cached ??= fetchFacts().catch(() => {
		cached = undefined;
		return { answers: false, limits: null };
	});
	return cached;
}

/** Every server of this contract answers in JSON, including errors; a web host's error page is HTML. */
async function fetchFacts(): Promise<ServerFacts> {
	const response = await fetch(apiUrl('/v2'));
	const body = (await response.json()) as Partial<components['schemas']['ServerMetadata']>;
	return { answers: true, limits: (response.ok && body.limits) || null };
}
