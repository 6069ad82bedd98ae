import type { paths } from './schema';

/**
 * The URL of an API path: relative to this page, or to the URL in the page's `inpaint-api` meta tag.
 *
 * @param parameters values of the path's parameters, such as the model in `/predictions/{model}`
 */
export function apiUrl(path: keyof paths, parameters: Record<string, string> = {}): URL {
	const configured = document.querySelector<HTMLMetaElement>('meta[name="inpaint-api"]')?.content;
	const base = new URL(configured || '.', document.baseURI);
	if (!base.pathname.endsWith('/')) base.pathname += '/';
	const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(parameters[name] ?? ''));
	return new URL(filled.slice(1), base);
}
