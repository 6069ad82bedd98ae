const NAME = 'inpaint-key';

/** The API key that was entered, kept until this tab is closed; '' for none. */
export function storedKey(): string {
	try {
		return sessionStorage.getItem(NAME) ?? '';
	} catch {
		return ''; // storage is switched off
	}
}

export function storeKey(key: string): void {
	try {
		sessionStorage.setItem(NAME, key);
	} catch {
		// Storage is switched off: the key holds until the page is left.
	}
}
