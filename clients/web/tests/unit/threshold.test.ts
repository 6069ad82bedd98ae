import { expect, test } from 'vitest';
import { holesFromRgba } from '../../src/lib/mask/threshold';
import { HOLE, KNOWN } from '../../src/lib/mask/mask';

test.each([
	['white', [255, 255, 255, 255], HOLE],
	['black', [0, 0, 0, 255], KNOWN],
	['the darkest white', [128, 128, 128, 255], HOLE],
	['the lightest black', [127, 127, 127, 255], KNOWN],
	['a light colour', [0, 255, 0, 255], HOLE],
	['a dark colour', [0, 0, 255, 255], KNOWN],
	['transparent white', [255, 255, 255, 0], KNOWN],
	['half-transparent white', [255, 255, 255, 128], HOLE]
])('%s', (_, rgba, value) => {
	expect([...holesFromRgba(new Uint8ClampedArray(rgba))]).toEqual([value]);
});

test('keeps the order of the pixels', () => {
	const rgba = new Uint8ClampedArray([255, 255, 255, 255, 0, 0, 0, 255, 255, 255, 255, 255]);
	expect([...holesFromRgba(rgba)]).toEqual([HOLE, KNOWN, HOLE]);
});
