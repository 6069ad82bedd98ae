// Runs an ONNX file with ONNX Runtime Web: node onnxruntime_web.mjs PACKAGE MODEL, for export/runtimes.py.
//
// Reads from stdin, repeatedly: batch size, height and width (uint32), the image and the mask (float32). Writes to
// stdout: the output's four dimensions (uint32) and values (float32). All numbers are little-endian.
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [folder, model] = process.argv.slice(2);
const file = createRequire(`${folder}/`).resolve('onnxruntime-web');
const { env, InferenceSession, Tensor } = await import(pathToFileURL(file).href);

env.wasm.numThreads = 1;
env.logLevel = 'error';
const session = await InferenceSession.create(await readFile(model), { executionProviders: ['wasm'] });

let unread = Buffer.alloc(0);
const input = process.stdin[Symbol.asyncIterator]();

/** Return the next bytes of stdin; null at its end. */
async function read(size) {
	const parts = [unread];
	let length = unread.length;
	while (length < size) {
		const { value, done } = await input.next();
		if (done) return null;
		parts.push(value);
		length += value.length;
	}
	const all = Buffer.concat(parts);
	unread = all.subarray(size);
	return all.subarray(0, size);
}

async function readTensor(...dims) {
	const bytes = await read(dims.reduce((product, dim) => product * dim, 4));
	return new Tensor('float32', new Float32Array(new Uint8Array(bytes).buffer), dims);
}

for (let head = await read(12); head; head = await read(12)) {
	const [count, height, width] = new Uint32Array(new Uint8Array(head).buffer);
	const image = await readTensor(count, 3, height, width);
	const mask = await readTensor(count, 1, height, width);
	const { output } = await session.run({ image, mask });
	process.stdout.write(new Uint8Array(Uint32Array.from(output.dims).buffer));
	process.stdout.write(new Uint8Array(output.data.buffer, output.data.byteOffset, output.data.byteLength));
}
