/**
 * Encodes and decodes PNG files of 8 bits per sample without a canvas: phones limit a canvas to fewer pixels than their
 * own photos have, and a canvas loses the colours of transparent pixels.
 */
import type { Size } from '../view/view';

/** 8-bit samples, row by row: grey, grey and alpha, RGB, or RGB and alpha. */
export interface Samples extends Size {
	readonly channels: 1 | 2 | 3 | 4;
	readonly data: Uint8Array<ArrayBuffer>;
}

export interface Chunk {
	readonly type: string;
	readonly content: Uint8Array<ArrayBuffer>;
}

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const BITS = 8;
/** The colour types by the number of channels, and the other way around. */
const COLOUR_TYPES = { 1: 0, 2: 4, 3: 2, 4: 6 } as const;
const CHANNELS: Record<number, Samples['channels'] | undefined> = { 0: 1, 4: 2, 2: 3, 6: 4 };
const BAND = 1 << 20;

/** How each row is filtered: not at all, which suits masks, or by the Paeth predictor, which suits photos. */
export type Filter = 'none' | 'paeth';
const FILTER_TYPES = { none: 0, paeth: 4 } as const;

/** @param chunks additional chunks to write before the pixels */
export async function encodePng(samples: Samples, filter: Filter, chunks: readonly Chunk[] = []): Promise<Blob> {
	const header = new DataView(new ArrayBuffer(13));
	header.setUint32(0, samples.width);
	header.setUint32(4, samples.height);
	header.setUint8(8, BITS);
	header.setUint8(9, COLOUR_TYPES[samples.channels]);
	const rows = new ReadableStream(bands(samples, filter)).pipeThrough(new CompressionStream('deflate'));
	const pixels = new Uint8Array(await new Response(rows).arrayBuffer());
	const all = [
		{ type: 'IHDR', content: new Uint8Array(header.buffer) },
		...chunks,
		{ type: 'IDAT', content: pixels },
		{ type: 'IEND', content: new Uint8Array() }
	];
	return new Blob([new Uint8Array(SIGNATURE), ...all.map(encodeChunk)], { type: 'image/png' });
}

/**
 * Decode a PNG file of 8 bits per sample without a palette, interlacing, rotation or a transparent colour, such as
 * this module writes.
 *
 * @returns null for any other kind of file
 */
export async function decodePng(
	file: Uint8Array<ArrayBuffer>
): Promise<{ samples: Samples; chunks: readonly Chunk[] } | null> {
	const chunks = [...chunksOf(file)];
	const header = chunks.find(({ type }) => type === 'IHDR')?.content;
	if (header?.length !== 13 || chunks.some(({ type }) => ['PLTE', 'tRNS', 'eXIf', 'acTL'].includes(type)))
		return null;
	const view = new DataView(header.buffer, header.byteOffset);
	const [width, height] = [view.getUint32(0), view.getUint32(4)];
	const channels = CHANNELS[view.getUint8(9)];
	if (view.getUint8(8) !== BITS || !channels || view.getUint8(12) !== 0) return null;
	const pixels = new Blob(chunks.filter(({ type }) => type === 'IDAT').map(({ content }) => content));
	const rows = await inflate(pixels);
	const stride = width * channels;
	if (rows?.length !== height * (stride + 1)) return null;
	const data = new Uint8Array(height * stride);
	for (let y = 0; y < height; y++) {
		const from = y * (stride + 1);
		if (!unfilter(rows[from]!, rows.subarray(from + 1, from + 1 + stride), data, y * stride, channels)) return null;
	}
	return { samples: { width, height, channels, data }, chunks };
}

async function inflate(compressed: Blob): Promise<Uint8Array | null> {
	try {
		const rows = compressed.stream().pipeThrough(new DecompressionStream('deflate'));
		return new Uint8Array(await new Response(rows).arrayBuffer());
	} catch {
		return null; // damaged
	}
}

/** Restore a row of samples. @returns false if the filter is unknown */
function unfilter(filter: number, row: Uint8Array, data: Uint8Array, start: number, channels: number): boolean {
	for (let i = 0; i < row.length; i++) {
		const left = i < channels ? 0 : data[start + i - channels]!;
		const above = start ? data[start + i - row.length]! : 0;
		const corner = start && i >= channels ? data[start + i - row.length - channels]! : 0;
		let predicted = 0;
		if (filter === 1) predicted = left;
		else if (filter === 2) predicted = above;
		else if (filter === 3) predicted = (left + above) >> 1;
		else if (filter === FILTER_TYPES.paeth) predicted = paeth(left, above, corner);
		else if (filter !== FILTER_TYPES.none) return false;
		data[start + i] = row[i]! + predicted;
	}
	return true;
}

/** The rows, each preceded by its filter byte, about a megabyte at a time. */
function bands(
	{ data, width, height, channels }: Samples,
	filter: Filter
): UnderlyingDefaultSource<Uint8Array<ArrayBuffer>> {
	const stride = width * channels;
	const rowsAtOnce = Math.max(1, Math.floor(BAND / (stride + 1)));
	let row = 0;
	return {
		pull(controller) {
			const rows = Math.min(rowsAtOnce, height - row);
			const band = new Uint8Array(rows * (stride + 1));
			for (let i = 0; i < rows; i++, row++) {
				const to = i * (stride + 1);
				const start = row * stride;
				band[to] = FILTER_TYPES[filter];
				if (filter === 'none') band.set(data.subarray(start, start + stride), to + 1);
				else filterRow(data, start, stride, channels, band.subarray(to + 1, to + 1 + stride));
			}
			controller.enqueue(band);
			if (row === height) controller.close();
		}
	};
}

function filterRow(data: Uint8Array, start: number, stride: number, channels: number, row: Uint8Array): void {
	for (let i = 0; i < stride; i++) {
		const left = i < channels ? 0 : data[start + i - channels]!;
		const above = start ? data[start + i - stride]! : 0;
		const corner = start && i >= channels ? data[start + i - stride - channels]! : 0;
		row[i] = data[start + i]! - paeth(left, above, corner);
	}
}

function paeth(left: number, above: number, corner: number): number {
	const estimate = left + above - corner;
	const toLeft = Math.abs(estimate - left);
	const toAbove = Math.abs(estimate - above);
	const toCorner = Math.abs(estimate - corner);
	if (toLeft <= toAbove && toLeft <= toCorner) return left;
	return toAbove <= toCorner ? above : corner;
}

/** The complete chunks of a PNG file, in order. */
export function* chunksOf(file: Uint8Array<ArrayBuffer>): Generator<Chunk> {
	const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
	for (let at = SIGNATURE.length; at + 12 <= file.length;) {
		const end = at + 12 + view.getUint32(at);
		if (end > file.length) return;
		const type = String.fromCharCode(...file.subarray(at + 4, at + 8));
		yield { type, content: file.subarray(at + 8, end - 4) };
		at = end;
	}
}

function encodeChunk({ type, content }: Chunk): Uint8Array<ArrayBuffer> {
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
