import { describe, expect, test } from 'vitest';
import { hasAlpha, isAnimated, isTruncated } from '../../src/lib/image/inspect';

function bytes(...parts: (string | number[])[]): Buffer {
	return Buffer.concat(
		parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : Buffer.from(part)))
	);
}

function jpegSegment(marker: number, content: Buffer): Buffer {
	return Buffer.concat([Buffer.from([0xff, marker, 0, content.length + 2]), content]);
}

function chunk(type: string, content: Uint8Array = Buffer.alloc(0)): Buffer {
	const length = Buffer.alloc(4);
	length.writeUInt32BE(content.length);
	return Buffer.concat([length, Buffer.from(type), content, Buffer.alloc(4)]);
}

function webp(chunks: Buffer): Buffer {
	const size = Buffer.alloc(4);
	size.writeUInt32LE(chunks.length + 4);
	return Buffer.concat([Buffer.from('RIFF'), size, Buffer.from('WEBP'), chunks]);
}

const END = bytes([0xff, 0xd9]);
const THUMBNAIL = jpegSegment(0xe1, bytes('Exif', [0xff, 0xd8, 0xff, 0xda, 0, 2, 1, 2, 3, 0xff, 0xd9]));
const SCAN = bytes([0xff, 0xda, 0, 3, 1], [7, 0xff, 0x00, 8, 0xff, 0xd0, 9]);
/** Two scans, as in a progressive JPEG, with a table between them. */
const JPEG = Buffer.concat([bytes([0xff, 0xd8]), THUMBNAIL, SCAN, jpegSegment(0xc4, bytes([1, 2])), SCAN, END]);
const PNG = Buffer.concat([
	bytes('\x89PNG\r\n\x1a\n'),
	chunk('IHDR', Buffer.alloc(13)),
	chunk('IDAT', bytes('data')),
	chunk('IEND')
]);

function pngOf(colourType: number, ...chunks: Buffer[]): Buffer {
	const header = chunk('IHDR', bytes([0, 0, 0, 1, 0, 0, 0, 1, 8, colourType, 0, 0, 0]));
	return Buffer.concat([bytes('\x89PNG\r\n\x1a\n'), header, ...chunks, chunk('IDAT'), chunk('IEND')]);
}

const WEBP = webp(bytes('VP8 ', [4, 0, 0, 0], 'data'));

describe.each([
	['JPEG', JPEG],
	['PNG', PNG],
	['WebP', WEBP]
])('%s', (type, file) => {
	test('a complete file is not truncated', () => {
		expect(isTruncated(file, type)).toBe(false);
	});

	test('data after the end is ignored', () => {
		expect(isTruncated(Buffer.concat([file, bytes('trailer')]), type)).toBe(false);
	});

	test('a file cut off anywhere is truncated', () => {
		for (let length = 16; length < file.length; length++) {
			expect(isTruncated(file.subarray(0, length), type), `${length} bytes`).toBe(true);
		}
	});

	test('a still image is not animated', () => {
		expect(isAnimated(file, type)).toBe(false);
	});
});

test('an animated PNG has an acTL chunk', () => {
	const frames = Buffer.concat([PNG.subarray(0, 33), chunk('acTL', Buffer.alloc(8)), PNG.subarray(33)]);
	expect(isAnimated(frames, 'PNG')).toBe(true);
});

test('an animated WebP has the animation flag', () => {
	const extended = (flags: number) => webp(bytes('VP8X', [10, 0, 0, 0], [flags, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
	expect(isAnimated(extended(0x02), 'WebP')).toBe(true);
	expect(isAnimated(extended(0x10), 'WebP')).toBe(false);
});

test.each([
	['a grey PNG with alpha', 'PNG', pngOf(4), true],
	['an RGB PNG with alpha', 'PNG', pngOf(6), true],
	['an RGB PNG', 'PNG', pngOf(2), false],
	['a PNG with a transparent colour', 'PNG', pngOf(3, chunk('tRNS', bytes([0]))), true],
	['a lossy WebP', 'WebP', WEBP, false],
	['a WebP with the alpha flag', 'WebP', webp(bytes('VP8X', [10, 0, 0, 0], [0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0])), true],
	['a lossless WebP with alpha', 'WebP', webp(bytes('VP8L', [5, 0, 0, 0], [0x2f, 0, 0, 0, 0x10])), true],
	['a lossless WebP without', 'WebP', webp(bytes('VP8L', [5, 0, 0, 0], [0x2f, 0, 0, 0, 0x0f])), false],
	['a JPEG', 'JPEG', JPEG, false]
])('%s', (_, type, file, expected) => {
	expect(hasAlpha(file, type)).toBe(expected);
});
