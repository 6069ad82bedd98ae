/** Download a file. */
export function save(file: Blob, name: string): void {
	const link = document.createElement('a');
	link.href = URL.createObjectURL(file);
	link.download = name;
	link.click();
	// Some browsers cancel the download if the URL is revoked at once.
	setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** Whether this device can share the file, for example with its photo library. */
export function canShare(file: File): boolean {
	return navigator.canShare?.({ files: [file] }) ?? false;
}

/** @returns false if the user cancelled */
export async function share(file: File): Promise<boolean> {
	try {
		await navigator.share({ files: [file] });
		return true;
	} catch (error) {
		if (error instanceof DOMException && error.name === 'AbortError') return false;
		throw error;
	}
}
