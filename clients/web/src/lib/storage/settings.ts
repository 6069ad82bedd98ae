/** Choices that are remembered in this browser. */
const PREFIX = 'inpaint-';

/** @returns null if nothing is stored, or storage is disabled */
export function remembered(name: string): string | null {
	try {
		return localStorage.getItem(PREFIX + name);
	} catch {
		return null;
	}
}

export function remember(name: string, value: string): void {
	try {
		localStorage.setItem(PREFIX + name, value);
	} catch {
		// Storage is disabled: the choice lasts until the page is reloaded.
	}
}
