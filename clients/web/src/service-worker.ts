/// <reference types="@sveltejs/kit" />
/// <reference lib="webworker" />
/**
 * Lets the page work without a connection: it keeps the page's own files, and nothing else. The files that working on
 * this device loads are kept by lib/local/download.ts.
 */
import { build, files, version } from '$service-worker';

declare global {
	/** The page's start-up script; scripts/portable.js adds it. */
	var START_UP: readonly string[] | undefined;
}

const worker = globalThis as unknown as ServiceWorkerGlobalScope;

const CACHE = `inpaint-page-${version}`;
const INDEX = new URL('.', worker.location.href).href;
/** Files with a content hash in their names. */
const hashed = [...build, ...(globalThis.START_UP ?? [])].map(absolute).filter((url) => !url.endsWith('.bin'));
const kept = new Set([INDEX, ...hashed, ...files.map(absolute)]);

function absolute(path: string): string {
	return new URL(path, worker.location.href).href;
}

worker.addEventListener('install', (event) => {
	const stored = caches.open(CACHE).then((cache) => cache.addAll([...kept]));
	event.waitUntil(stored.then(() => worker.skipWaiting()));
});

worker.addEventListener('activate', (event) => {
	event.waitUntil(removeOldPages().then(() => worker.clients.claim()));
});

worker.addEventListener('fetch', (event) => {
	const { method, mode, url } = event.request;
	const own = url.split(/[?#]/)[0] as string;
	if (method !== 'GET' || !kept.has(own)) return;
	if (mode === 'navigate' || !hashed.includes(own)) event.respondWith(newest(event.request, own));
	else event.respondWith(stored(own).then((answer) => answer ?? fetch(event.request)));
});

/** The host's version of a file, or the stored one if the host does not send it. */
async function newest(request: Request, url: string): Promise<Response> {
	const answer = await fetch(request).catch(() => null);
	if (answer?.ok) return answer;
	return (await stored(url)) ?? answer ?? Response.error();
}

async function stored(url: string): Promise<Response | undefined> {
	return (await caches.open(CACHE)).match(url);
}

async function removeOldPages(): Promise<void> {
	const names = await caches.keys();
	const old = names.filter((name) => name.startsWith('inpaint-page-') && name !== CACHE);
	await Promise.all(old.map((name) => caches.delete(name)));
}
