import filledUrl from '../assets/sample-filled.webp';
import url from '../assets/sample.webp';
import { UserError } from '../errors';

/** NASA's portrait of Eileen Collins (public domain) with scratches added, and the model's result for it. */
export const SAMPLE = { url, filledUrl, name: 'astronaut.webp', side: 512 };

/** @throws UserError the sample could not be loaded */
export async function loadSample(): Promise<Blob> {
	const response = await fetch(SAMPLE.url).catch(() => null);
	if (!response?.ok) throw new UserError("Can't load the sample. Check your connection, or choose a photo.");
	return response.blob();
}
