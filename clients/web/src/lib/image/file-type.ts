/** Detects a file's type from its first bytes: its name and declared type may be wrong. */

const SIGNATURES: readonly (readonly [type: string, offset: number, bytes: string])[] = [
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

/** The types that the page opens. */
export type FileType = 'PNG' | 'JPEG' | 'WebP';

const FORMATS: Record<FileType, { extension: string; mediaType: string }> = {
	PNG: { extension: 'png', mediaType: 'image/png' },
	JPEG: { extension: 'jpg', mediaType: 'image/jpeg' },
	WebP: { extension: 'webp', mediaType: 'image/webp' }
};

export function isAccepted(type: string | null): type is FileType {
	return type !== null && type in FORMATS;
}

export function extensionOf(type: FileType): string {
	return FORMATS[type].extension;
}

export function mediaTypeOf(type: FileType): string {
	return FORMATS[type].mediaType;
}

export const ACCEPTED_TYPES = 'image/png,image/jpeg,image/webp';
export const HEAD_BYTES = 16;

/** @returns the type's name, or null if it is unknown */
export function detectFileType(head: Uint8Array): string | null {
	const text = String.fromCharCode(...head.subarray(0, HEAD_BYTES));
	return SIGNATURES.find(([, offset, bytes]) => text.startsWith(bytes, offset))?.[0] ?? null;
}
