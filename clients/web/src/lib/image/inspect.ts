/** Checks of a file's structure. The browser reports none of this: it shows what it can of a truncated image. */

/** Whether the end of the file is missing. Data after the end, as some cameras append, is fine. */
export function isTruncated(file: Uint8Array, type: string): boolean {
	if (type === 'JPEG') return !hasJpegEnd(file);
	if (type === 'PNG') return ![...pngChunks(file)].includes('IEND');
	if (type === 'WebP') return view(file).getUint32(4, true) + 8 > file.length;
	return false;
}

/** Whether the file has more than one frame: APNG or animated WebP. */
export function isAnimated(file: Uint8Array, type: string): boolean {
	if (type === 'PNG') return [...pngChunks(file)].includes('acTL');
	if (type === 'WebP') return text(file, 12) === 'VP8X' && ((file[20] ?? 0) & 0x02) !== 0;
	return false;
}

/** Whether the file's pixels can be transparent. */
export function hasAlpha(file: Uint8Array, type: string): boolean {
	// PNG's colour types with alpha are 4 (grey) and 6 (RGB).
	if (type === 'PNG') return [4, 6].includes(file[25] ?? 0) || [...pngChunks(file)].includes('tRNS');
	if (type !== 'WebP') return false;
	const format = text(file, 12);
	return (
		(format === 'VP8X' && ((file[20] ?? 0) & 0x10) !== 0) || (format === 'VP8L' && ((file[24] ?? 0) & 0x10) !== 0)
	);
}

/** Walk a JPEG's segments and scans up to the end marker. An embedded thumbnail's end marker does not count. */
function hasJpegEnd(file: Uint8Array): boolean {
	let at = 2;
	while (at < file.length) {
		// Entropy-coded data up to the next marker: FF 00 is a stuffed byte, FF D0 to FF D7 are restart markers.
		at = file.indexOf(0xff, at);
		if (at < 0 || at + 1 >= file.length) return false;
		const marker = file[at + 1]!;
		if (marker === 0xd9) return true;
		if (marker === 0xff) at += 1;
		else if (marker === 0x00 || marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8)) at += 2;
		else if (at + 4 > file.length) return false;
		else at += 2 + Math.max(2, view(file).getUint16(at + 2));
	}
	return false;
}

/** The types of a PNG's complete chunks, in order. */
function* pngChunks(file: Uint8Array): Generator<string> {
	for (let at = 8; at + 12 <= file.length;) {
		const end = at + 12 + view(file).getUint32(at);
		if (end > file.length) return;
		yield text(file, at + 4);
		at = end;
	}
}

function view(file: Uint8Array): DataView {
	return new DataView(file.buffer, file.byteOffset, file.byteLength);
}

function text(file: Uint8Array, at: number): string {
	return String.fromCharCode(...file.subarray(at, at + 4));
}
