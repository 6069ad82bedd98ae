/** The files that working on this device loads: downloaded once, then kept in the browser. */

import type { LoadedFile } from './messages';

/** The files could not be downloaded. */
export class DownloadError extends Error {}

const CACHE = 'inpaint-on-device';

/**
 * Load gzipped files.
 *
 * @param current the URLs of all files of this version of the page; all others are deleted
 * @param onProgress called with the fraction downloaded, in [0, 1], unless everything was stored already
 * @throws DownloadError
 */
export async function load(
	files: readonly LoadedFile[],
	current: readonly string[],
	onProgress: (fraction: number) => void
): Promise<ArrayBuffer[]> {
	// Only pages served over HTTPS or from this computer have a cache.
	const cache = await globalThis.caches?.open(CACHE).catch(() => null);
	const total = files.reduce((sum, { size }) => sum + size, 0);
	let arrived = 0;
	const contents = await Promise.all(
		files.map(async ({ url }) => {
			const kept = await cache?.match(url);
			if (kept) return kept.blob();
			const content = await download(url, (bytes) => onProgress(Math.min(1, (arrived += bytes) / total)));
			// If the browser's storage is full, it is downloaded again the next time.
			await cache?.put(url, new Response(content)).catch(() => undefined);
			return content;
		})
	);
	for (const { url } of (await cache?.keys()) ?? []) if (!current.includes(url)) await cache?.delete(url);
	return Promise.all(contents.map(unzipped));
}

async function download(url: string, onBytes: (count: number) => void): Promise<Blob> {
	try {
		const response = await fetch(url);
		if (!response.ok || !response.body) throw new DownloadError(`status ${response.status}`);
		const parts: Uint8Array<ArrayBuffer>[] = [];
		const reader = response.body.getReader();
		for (;;) {
			const { done, value } = await reader.read();
			if (done) return new Blob(parts);
			parts.push(value);
			onBytes(value.length);
		}
	} catch (error) {
		throw error instanceof DownloadError ? error : new DownloadError(String(error));
	}
}

function unzipped(content: Blob): Promise<ArrayBuffer> {
	return new Response(content.stream().pipeThrough(new DecompressionStream('gzip'))).arrayBuffer();
}
