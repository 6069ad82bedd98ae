import { mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { withSmallWeights } from './onnx.js';

const MODEL = fileURLToPath(new URL('../../../models/inpaint.onnx', import.meta.url));
const MARKS = fileURLToPath(new URL('../../../models/marks/marks.onnx', import.meta.url));
const FOLDER = fileURLToPath(new URL('../.on-device/', import.meta.url));
const RUNTIME = dirname(createRequire(import.meta.url).resolve('onnxruntime-web/wasm'));

const SCRIPTS = ['./onnx.js', './on-device.js'].map((name) => fileURLToPath(new URL(name, import.meta.url)));

const compress = promisify(gzip);

/**
 * Make the files that the page loads to work on the device, from the server's networks and from ONNX Runtime Web: the
 * model with 7-bit weights, the network that finds marks as it is, and the runtime's WebAssembly. All are gzipped, because
 * many hosts do not compress such files.
 *
 * @returns their sizes in bytes
 */
export async function makeOnDeviceFiles() {
	await mkdir(FOLDER, { recursive: true });
	const sizes = {
		model: await make('model.bin', MODEL, async (model) => compress(withSmallWeights(model), { level: 9 })),
		marks: await make('marks.bin', MARKS, (network) => compress(network, { level: 9 })),
		runtime: await make('runtime.bin', join(RUNTIME, 'ort-wasm-simd-threaded.wasm'), (wasm) =>
			compress(wasm, { level: 9 })
		)
	};
	// Not `.mjs`: some hosts do not know that it is JavaScript.
	await make('runtime.js', join(RUNTIME, 'ort-wasm-simd-threaded.mjs'), (code) => Promise.resolve(code));
	return sizes;
}

/**
 * @param {string} name
 * @param {string} source
 * @param {(content: Buffer) => Promise<Buffer>} convert
 * @returns {Promise<number>} its size in bytes
 */
async function make(name, source, convert) {
	const made = await stat(join(FOLDER, name)).catch(() => null);
	const inputs = await Promise.all([source, ...SCRIPTS].map((file) => stat(file)));
	if (made && inputs.every(({ mtimeMs }) => mtimeMs < made.mtimeMs)) return made.size;
	const content = await convert(await readFile(source));
	await replaceFile(name, content);
	return content.length;
}

/**
 * @param {string} name
 * @param {string | Buffer} content
 */
async function replaceFile(name, content) {
	const partial = join(FOLDER, `${name}.${process.pid}`);
	await writeFile(partial, content);
	await rename(partial, join(FOLDER, name));
}
