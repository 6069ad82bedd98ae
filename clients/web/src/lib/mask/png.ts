import type { Mask } from './mask';

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const BITS = 8;
const GREY = 0;
const BAND = 1 << 20;

/**
 * Encode a mask as an 8-bit greyscale PNG. Not left to a canvas: phones limit a canvas to fewer pixels than their own
 * photos have.
 */
export async function encodeMask(mask: Mask): Promise<Blob> {
	const header = new DataView(new ArrayBuffer(13));
	header.setUint32(0, mask.width);
	header.setUint32(4, mask.height);
	header.setUint8(8, BITS);
	header.setUint8(9, GREY);
	const rows = new ReadableStream(bands(mask)).pipeThrough(new CompressionStream('deflate'));
	const pixels = new Uint8Array(await new Response(rows).arrayBuffer());
	const chunks = [
		chunk('IHDR', new Uint8Array(header.buffer)),
		chunk('IDAT', pixels),
		chunk('IEND', new Uint8Array())
	];
	return new Blob([new Uint8Array(SIGNATURE), ...chunks], { type: 'image/png' });
}

/** The rows, each after its filter byte (0 = none), about a megabyte at a time. */
function bands({ data, width, height }: Mask): UnderlyingDefaultSource<Uint8Array<ArrayBuffer>> {
	const rowsAtOnce = Math.max(1, Math.floor(BAND / (width + 1)));
	let row = 0;
	return {
		pull(controller) {
			const rows = Math.min(rowsAtOnce, height - row);
			const band = new Uint8Array(rows * (width + 1));
			for (let i = 0; i < rows; i++, row++) {
				band.set(data.subarray(row * width, (row + 1) * width), i * (width + 1) + 1);
			}
			controller.enqueue(band);
			if (row === height) controller.close();
		}
	};
}

function chunk(type: string, content: Uint8Array): Uint8Array<ArrayBuffer> {
	const bytes = new Uint8Array(content.length + 12);
	const view = new DataView(bytes.buffer);
	view.setUint32(0, content.length);
	bytes.set(new TextEncoder().encode(type), 4);
	bytes.set(content, 8);
	view.setUint32(8 + content.length, crc32(bytes.subarray(4, 8 + content.length)));
	return bytes;
}

const CRC_OF_BYTE = Uint32Array.from({ length: 256 }, (_, byte) => {
	let crc = byte;
	for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? 0xedb88320 ^ (crc >>> 1) : crc >>> 1;
	return crc;
});

function crc32(bytes: Uint8Array): number {
	let crc = 0xffffffff;
	for (const byte of bytes) crc = (CRC_OF_BYTE[(crc ^ byte) & 0xff] as number) ^ (crc >>> 8);
	return ~crc >>> 0;
}
