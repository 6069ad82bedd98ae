import { bearer } from './key';
import { apiUrl } from './url';
import type { components } from './schema';

type IndexedModel = components['schemas']['IndexedModel'];

/** The server's default model. */
export const DEFAULT_MODEL = 'inpaint';

/**
 * The names of the models of a server that has `/v2`, the default first; none if it does not list them.
 *
 * @param key the server's API key, or '' for none
 */
export async function serverModels(key: string): Promise<readonly string[]> {
	const headers: Record<string, string> = key ? { Authorization: bearer(key) } : {};
	const response = await fetch(apiUrl('/v2/repository/index'), { headers }).catch(() => null);
	if (!response?.ok) return [];
	return ((await response.json()) as IndexedModel[]).map(({ name }) => name);
}
