/** The networks, run by ONNX Runtime Web. */
import { env, InferenceSession, Tensor } from 'onnxruntime-web/wasm';
import { load } from './download';
import type { MarksNetwork } from './marks';
import type { Files, LoadedFile } from './messages';
import type { Model } from './tiling';

/** Maximum threads of a network. Pages that are not cross-origin isolated cannot share memory, so it uses one there. */
const MAX_THREADS = 4;

type OnProgress = (fraction: number) => void;

/**
 * Load the model, and the runtime if it is not loaded yet.
 *
 * @param onProgress called with the fraction that has been downloaded, in [0, 1]
 * @throws DownloadError
 */
export async function loadModel(files: Files, onProgress: OnProgress): Promise<Model> {
	const session = await openSession(files.model, files, onProgress);
	return ({ width, height, image, known }) =>
		run(session, 'output', {
			image: new Tensor('float32', image, [1, 3, height, width]),
			mask: new Tensor('float32', known, [1, 1, height, width])
		});
}

/** Load the network that finds marks, as `loadModel` does. */
export async function loadMarksNetwork(files: Files, onProgress: OnProgress): Promise<MarksNetwork> {
	const session = await openSession(files.marks, files, onProgress);
	return ({ width, height }, image) =>
		run(session, 'marks', { image: new Tensor('float32', image, [1, 3, height, width]) });
}

async function openSession(network: LoadedFile, files: Files, onProgress: OnProgress): Promise<InferenceSession> {
	const { model, marks, runtime, runtimeCode } = files;
	const wanted = env.wasm.wasmBinary ? [network] : [network, runtime];
	const current = [model, marks, runtime].map(({ url }) => url);
	const [content, wasm] = (await load(wanted, current, onProgress)) as [ArrayBuffer, ArrayBuffer?];
	if (wasm) env.wasm.wasmBinary = wasm;
	env.wasm.numThreads = crossOriginIsolated ? Math.min(MAX_THREADS, navigator.hardwareConcurrency) : 1;
	env.wasm.wasmPaths = { mjs: runtimeCode };
	return InferenceSession.create(new Uint8Array(content), { executionProviders: ['wasm'] });
}

async function run(session: InferenceSession, name: string, inputs: Record<string, Tensor>): Promise<Float32Array> {
	const output = (await session.run(inputs))[name];
	if (!(output?.data instanceof Float32Array)) throw new Error(`the network returned no ${name}`);
	return output.data;
}
