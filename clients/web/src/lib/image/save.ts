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

/** Whether images can be copied to the clipboard: not without HTTPS, nor in every browser. */
export function canCopy(): boolean {
	return 'ClipboardItem' in window && 'clipboard' in navigator;
}

/** Copy an image to the clipboard, which takes only PNG. */
export async function copyImage(file: Blob): Promise<void> {
	const png = file.type === 'image/png' ? file : asPng(file);
	await navigator.clipboard.write([new ClipboardItem({ 'image/png': png })]);
}

async function asPng(file: Blob): Promise<Blob> {
	const image = await createImageBitmap(file);
	const canvas = new OffscreenCanvas(image.width, image.height);
	canvas.getContext('2d')?.drawImage(image, 0, 0);
	image.close();
	return canvas.convertToBlob();
}

/** Let a drag carry the file: to other pages as a file, and in Chromium to a folder as a download. */
export function offerDrag({ dataTransfer }: DragEvent, file: File, url: string): void {
	dataTransfer?.items.add(file);
	dataTransfer?.setData('DownloadURL', `${file.type}:${file.name}:${url}`);
}
