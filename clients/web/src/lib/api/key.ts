const NAME = 'inpaint-key';

/** The API key entered by the user, kept until the tab is closed; '' for none. */
export function storedKey(): string {
	try {
		return sessionStorage.getItem(NAME) ?? '';
	} catch {
		return ''; // storage is disabled
	}
}

export function storeKey(key: string): void {
	try {
		sessionStorage.setItem(NAME, key);
	} catch {
		// Storage is disabled: the key lasts until the page is reloaded.
	}
}
