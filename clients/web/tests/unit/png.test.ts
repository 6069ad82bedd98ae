import { crc32, inflateSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { decodePng, encodePng, type Samples } from '../../src/lib/image/png';
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

test.each([1, 2, 3, 4] as const)('a photo of %i channels is encoded and decoded without loss', async (channels) => {
	const [width, height] = [61, 37];
	const data = Uint8Array.from({ length: width * height * channels }, (_, i) => (i * i) >> 3);
	const samples: Samples = { width, height, channels, data };
	const chunk = { type: 'gAMA', content: new Uint8Array([0, 0, 177, 143]) };
	const file = new Uint8Array(await (await encodePng(samples, 'paeth', [chunk])).arrayBuffer());
	const decoded = await decodePng(file);
	expect(decoded?.samples).toEqual(samples);
	expect(decoded?.chunks.map(({ type }) => type)).toEqual(['IHDR', 'gAMA', 'IDAT', 'IEND']);
	expect(decoded?.chunks[1]?.content).toEqual(chunk.content);
});

test('a PNG file of another kind is left to the browser', async () => {
	const samples: Samples = { width: 2, height: 1, channels: 1, data: new Uint8Array([1, 2]) };
	for (const type of ['PLTE', 'tRNS', 'eXIf']) {
		const file = await encodePng(samples, 'none', [{ type, content: new Uint8Array(3) }]);
		expect(await decodePng(new Uint8Array(await file.arrayBuffer()))).toBeNull();
	}
});
