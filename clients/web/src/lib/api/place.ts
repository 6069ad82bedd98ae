import type { paths } from './schema';

/** The address of a path of the contract: beside this page, or where the page's `inpaint-api` says. */
export function address(path: keyof paths): URL {
	const stated = document.querySelector<HTMLMetaElement>('meta[name="inpaint-api"]')?.content;
	const base = new URL(stated || '.', document.baseURI);
	if (!base.pathname.endsWith('/')) base.pathname += '/';
	return new URL(path.slice(1), base);
}
