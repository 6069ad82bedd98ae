import { expect, test } from 'vitest';
import { detectFileType } from '../../src/lib/image/file-type';
import { filledName, maskName } from '../../src/lib/image/file-names';

test.each([
	['89504e470d0a1a0a0000000d49484452', 'PNG'],
	['ffd8ffe000104a464946000101000001', 'JPEG'],
	['524946460000000057454250565038', 'WebP'],
	['474946383961', 'GIF'],
	['424d36000000', 'BMP'],
	['49492a0008000000', 'TIFF'],
	['4d4d002a00000008', 'TIFF'],
	['255044462d312e34', 'PDF'],
	['0000001c667479706176696600000000', 'AVIF'],
	['00000018667479706865696300000000', 'HEIC'],
	['5249464600000000415649204c495354', null],
	['68656c6c6f', null],
	['', null]
])('bytes %s are detected as %s', (hex, kind) => {
	expect(detectFileType(Buffer.from(hex, 'hex'))).toBe(kind);
});

test.each([
	['beach.jpg', 'beach-filled.png', 'beach-mask.png'],
	['beach-filled.png', 'beach-filled.png', 'beach-mask.png'],
	['my.old.photo.webp', 'my.old.photo-filled.png', 'my.old.photo-mask.png'],
	['photo', 'photo-filled.png', 'photo-mask.png'],
	['.png', 'photo-filled.png', 'photo-mask.png'],
	['', 'photo-filled.png', 'photo-mask.png']
])('%s is saved as %s and %s', (name, filled, mask) => {
	expect([filledName(name, 'PNG'), maskName(name)]).toEqual([filled, mask]);
});

test.each([
	['JPEG', 'beach-filled.jpg'],
	['WebP', 'beach-filled.webp']
] as const)('a %s file has its own extension', (type, name) => {
	expect(filledName('beach.jpeg', type)).toBe(name);
});
