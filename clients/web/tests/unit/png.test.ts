import { crc32, inflateSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { HOLE, Mask } from '../../src/lib/mask/mask';
import { encodeMask } from '../../src/lib/mask/png';

/** Decode an 8-bit greyscale PNG with unfiltered rows, verifying every checksum. */
function decode(file: Buffer): { width: number; height: number; samples: Buffer } {
	expect(file.subarray(0, 8).toString('latin1')).toBe('\x89PNG\r\n\x1a\n');
	const chunks = new Map<string, Buffer>();
	for (let at = 8; at < file.length;) {
		const length = file.readUInt32BE(at);
		const body = file.subarray(at + 4, at + 8 + length);
		expect(file.readUInt32BE(at + 8 + length)).toBe(crc32(body));
		chunks.set(body.subarray(0, 4).toString(), body.subarray(4));
		at += length + 12;
	}
	expect([...chunks.keys()]).toEqual(['IHDR', 'IDAT', 'IEND']);
	const header = chunks.get('IHDR')!;
	expect([...header.subarray(8)]).toEqual([8, 0, 0, 0, 0]);
	const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)];
	const rows = inflateSync(chunks.get('IDAT')!);
	expect(rows.length).toBe(height * (width + 1));
	const samples = Buffer.alloc(width * height);
	for (let row = 0; row < height; row++) {
		expect(rows[row * (width + 1)]).toBe(0);
		rows.copy(samples, row * width, row * (width + 1) + 1, (row + 1) * (width + 1));
	}
	return { width, height, samples };
}

test.each([
	[1, 1],
	[7, 5],
	[3001, 1100]
])('a mask of %i x %i pixels is encoded correctly', async (width, height) => {
	const mask = new Mask(width, height);
	for (let i = 0; i < mask.data.length; i += 3) mask.data[i] = HOLE;
	const file = await encodeMask(mask);
	const decoded = decode(Buffer.from(await file.arrayBuffer()));
	expect(file.type).toBe('image/png');
	expect([decoded.width, decoded.height]).toEqual([width, height]);
	expect(decoded.samples.equals(mask.data)).toBe(true);
});
