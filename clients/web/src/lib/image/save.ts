/** Hand a file to the browser's downloads. */
export function save(file: Blob, name: string): void {
	const link = document.createElement('a');
	link.href = URL.createObjectURL(file);
	link.download = name;
	link.click();
	// The browser has taken hold of it by then; freeing it at once stops the download in some.
	setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** Whether this device can share such a file, as phones do to put a picture among the photos. */
export function canShare(file: File): boolean {
	return navigator.canShare?.({ files: [file] }) ?? false;
}

/** @returns whether it was shared, rather than thought better of */
export async function share(file: File): Promise<boolean> {
	try {
		await navigator.share({ files: [file] });
		return true;
	} catch (error) {
		if (error instanceof DOMException && error.name === 'AbortError') return false;
		throw error;
	}
}
