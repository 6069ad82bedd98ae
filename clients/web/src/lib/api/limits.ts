import { address } from './place';
import type { components } from './schema';

export type Limits = components['schemas']['Limits'];

/** Milliseconds after which a photo is opened without them. */
const PATIENCE = 3000;

let known: Promise<Limits | null> | undefined;

/** What the server takes at most, asked once; null where it does not say, as TorchServe does not. */
export function serverLimits(): Promise<Limits | null> {
	known ??= ask().catch(() => {
		known = undefined;
		return null;
	});
	return known;
}

async function ask(): Promise<Limits | null> {
	const answer = await fetch(address('/v2'), { signal: AbortSignal.timeout(PATIENCE) });
	if (!answer.ok) return null;
	const metadata = (await answer.json()) as Partial<components['schemas']['ServerMetadata']>;
	return metadata.limits ?? null;
}
