const NAME = 'inpaint-key';

/** The API key entered by the user, kept until the tab is closed; '' for none. */
export function storedKey(): string {
	try {
		return sessionStorage.getItem(NAME) ?? '';
	} catch {
		return ''; // storage is disabled
	}
}

/**
 * The value of the `Authorization` header. Header values are limited to Latin-1, so each character here stands for one
 * byte of the key in UTF-8: the server compares bytes. Control characters are not allowed in headers.
 */
export function bearer(key: string): string {
	// eslint-disable-next-line no-control-regex
	const utf8 = new TextEncoder().encode(key.replace(/[\x00-\x1f\x7f]/g, ''));
	return `Bearer ${Array.from(utf8, (byte) => String.fromCharCode(byte)).join('')}`;
}

export function storeKey(key: string): void {
	try {
		sessionStorage.setItem(NAME, key);
	} catch {
		// Storage is disabled: the key lasts until the page is reloaded.
	}
}
