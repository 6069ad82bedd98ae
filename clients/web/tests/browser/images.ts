import { crc32 } from 'node:zlib';
import type { Page } from '@playwright/test';

export interface Samples {
	width: number;
	height: number;
	/** RGBA, four bytes per pixel. */
	data: Buffer;
}

/** Decode an image file in the browser, with EXIF orientation applied and without colour management. */
export async function decode(page: Page, file: Buffer): Promise<Samples> {
	const { width, height, text } = await page.evaluate(async (encoded) => {
		const bytes = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0));
		const bitmap = await createImageBitmap(new Blob([bytes]), { colorSpaceConversion: 'none' });
		const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
		const context = canvas.getContext('2d')!;
		context.drawImage(bitmap, 0, 0);
		const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
		let text = '';
		for (let i = 0; i < data.length; i += 0x8000) {
			text += String.fromCharCode(...data.subarray(i, i + 0x8000));
		}
		return { width: bitmap.width, height: bitmap.height, text: btoa(text) };
	}, file.toString('base64'));
	return { width, height, data: Buffer.from(text, 'base64') };
}

/** Generate a photo in the browser: a colour gradient with a dark line. */
export async function photo(page: Page, width: number, height: number, type = 'image/jpeg'): Promise<Buffer> {
	const encoded = await page.evaluate(
		async ({ width, height, type }) => {
			const canvas = new OffscreenCanvas(width, height);
			const context = canvas.getContext('2d')!;
			const slope = context.createLinearGradient(0, 0, width, height);
			['#e8b88a', '#7fa3c7', '#3d5a45', '#d9d2c0'].forEach((colour, i) => slope.addColorStop(i / 3, colour));
			context.fillStyle = slope;
			context.fillRect(0, 0, width, height);
			context.strokeStyle = '#202020';
			context.lineWidth = Math.max(2, width / 200);
			context.beginPath();
			context.moveTo(width * 0.2, height * 0.2);
			context.lineTo(width * 0.8, height * 0.7);
			context.stroke();
			const bytes = new Uint8Array(await (await canvas.convertToBlob({ type })).arrayBuffer());
			let text = '';
			for (let i = 0; i < bytes.length; i += 0x8000) {
				text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
			}
			return btoa(text);
		},
		{ width, height, type }
	);
	return Buffer.from(encoded, 'base64');
}

/** Turn a PNG into an animated one: an `acTL` chunk after its header announces two frames. */
export function withFrames(png: Buffer): Buffer {
	const chunk = Buffer.alloc(20);
	chunk.writeUInt32BE(8, 0);
	chunk.write('acTL', 4, 'latin1');
	chunk.writeUInt32BE(2, 8);
	chunk.writeUInt32BE(crc32(chunk.subarray(4, 16)), 16);
	return Buffer.concat([png.subarray(0, 33), chunk, png.subarray(33)]);
}

/** Shorten the pixel data of a PNG with a single IDAT chunk; its chunks stay valid. */
export function withMissingRows(png: Buffer): Buffer {
	const at = png.indexOf('IDAT') - 4;
	const length = png.readUInt32BE(at);
	const body = png.subarray(at + 4, at + 8 + Math.floor(length / 2));
	const chunk = Buffer.alloc(body.length + 8);
	chunk.writeUInt32BE(body.length - 4, 0);
	body.copy(chunk, 4);
	chunk.writeUInt32BE(crc32(body), body.length + 4);
	return Buffer.concat([png.subarray(0, at), chunk, png.subarray(png.indexOf('IEND') - 4)]);
}

/** Add an EXIF orientation, 1 to 8, to a JPEG. */
export function withOrientation(jpeg: Buffer, orientation: number): Buffer {
	const tiff = Buffer.alloc(26);
	tiff.write('MM\0*', 0, 'latin1');
	tiff.writeUInt32BE(8, 4); // offset of the directory
	tiff.writeUInt16BE(1, 8); // number of entries
	tiff.writeUInt16BE(0x0112, 10); // orientation
	tiff.writeUInt16BE(3, 12); // type SHORT
	tiff.writeUInt32BE(1, 14); // one value
	tiff.writeUInt16BE(orientation, 18);
	const content = Buffer.concat([Buffer.from('Exif\0\0', 'latin1'), tiff]);
	const marker = Buffer.from([0xff, 0xe1, 0, content.length + 2]);
	return Buffer.concat([jpeg.subarray(0, 2), marker, content, jpeg.subarray(2)]);
}

/** Count the hole pixels of a mask; every other pixel must be black. */
export function holes({ data }: Samples): number {
	let count = 0;
	for (let i = 0; i < data.length; i += 4) {
		if (data[i] !== 0 && data[i] !== 255) throw new Error(`unexpected mask value ${data[i]}`);
		if (data[i] === 255) count++;
	}
	return count;
}

export interface Comparison {
	width: number;
	height: number;
	holes: number;
	/** Number of differing pixels inside and outside the hole. */
	changed: { inside: number; outside: number };
}

/** Compare two image files pixel by pixel, inside and outside a mask's hole. All three must have the same size. */
export function compare(page: Page, before: Buffer, after: Buffer, mask: Buffer): Promise<Comparison> {
	return page.evaluate(
		async (files) => {
			const pictures = [];
			for (const file of files) {
				const bytes = Uint8Array.from(atob(file), (letter) => letter.charCodeAt(0));
				const bitmap = await createImageBitmap(new Blob([bytes]), { colorSpaceConversion: 'none' });
				const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
				const context = canvas.getContext('2d')!;
				context.drawImage(bitmap, 0, 0);
				pictures.push(context.getImageData(0, 0, bitmap.width, bitmap.height));
			}
			const sizes = new Set(pictures.map(({ width, height }) => `${width} x ${height}`));
			if (sizes.size > 1) throw new Error(`sizes differ: ${[...sizes].join(', ')}`);
			const [one, other, mask] = pictures as [ImageData, ImageData, ImageData];
			const changed = { inside: 0, outside: 0 };
			let holes = 0;
			for (let i = 0; i < one.data.length; i += 4) {
				let difference = 0;
				for (let c = i; c < i + 4; c++) {
					difference = Math.max(difference, Math.abs(one.data[c]! - other.data[c]!));
				}
				const hole = mask.data[i]! >= 128;
				if (hole) holes++;
				if (difference) changed[hole ? 'inside' : 'outside']++;
			}
			return { width: one.width, height: one.height, holes, changed };
		},
		[before, after, mask].map((file) => file.toString('base64'))
	);
}
