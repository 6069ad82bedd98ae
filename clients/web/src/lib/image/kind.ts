/** What a file is by its first bytes: its name and its declared type may say anything. */

const KINDS: readonly (readonly [kind: string, offset: number, bytes: string])[] = [
	['PNG', 0, '\x89PNG\r\n\x1a\n'],
	['JPEG', 0, '\xff\xd8\xff'],
	['WebP', 8, 'WEBP'],
	['GIF', 0, 'GIF8'],
	['BMP', 0, 'BM'],
	['TIFF', 0, 'II*\0'],
	['TIFF', 0, 'MM\0*'],
	['PDF', 0, '%PDF'],
	['AVIF', 4, 'ftypavif'],
	['HEIC', 4, 'ftyphei'],
	['HEIC', 4, 'ftypmif1']
];

export const ACCEPTED = ['PNG', 'JPEG', 'WebP'];
export const ACCEPTED_TYPES = 'image/png,image/jpeg,image/webp';
export const HEAD_BYTES = 16;

/** @returns the kind's name, or null for one that is not known here */
export function kindOf(head: Uint8Array): string | null {
	const text = String.fromCharCode(...head.subarray(0, HEAD_BYTES));
	return KINDS.find(([, offset, bytes]) => text.startsWith(bytes, offset))?.[0] ?? null;
}
