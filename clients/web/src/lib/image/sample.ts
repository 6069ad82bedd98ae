import filledUrl from '../assets/sample-filled.webp';
import url from '../assets/sample.webp';
import { UserError } from '../errors';

/** NASA's portrait of Eileen Collins (public domain), scratched for this page, and what the model made of it. */
export const SAMPLE = { url, filledUrl, name: 'astronaut.webp', side: 512 };

/** @throws UserError it cannot be loaded */
export async function loadSample(): Promise<Blob> {
	const answer = await fetch(SAMPLE.url).catch(() => null);
	if (!answer?.ok) throw new UserError('The sample cannot be loaded. Check the connection, or choose a photo.');
	return answer.blob();
}
