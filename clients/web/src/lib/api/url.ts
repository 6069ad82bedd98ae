import type { paths } from './schema';

/** The URL of an API path: relative to this page, or to the URL in the page's `inpaint-api` meta tag. */
export function apiUrl(path: keyof paths): URL {
	const configured = document.querySelector<HTMLMetaElement>('meta[name="inpaint-api"]')?.content;
	const base = new URL(configured || '.', document.baseURI);
	if (!base.pathname.endsWith('/')) base.pathname += '/';
	return new URL(path.slice(1), base);
}
