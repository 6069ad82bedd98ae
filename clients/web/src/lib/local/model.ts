/** The model, run by ONNX Runtime Web. */
import { env, InferenceSession, Tensor } from 'onnxruntime-web/wasm';
import { load } from './download';
import type { Files } from './messages';
import type { Model, ModelInput } from './tiling';

/**
 * Load the runtime and the model.
 *
 * @param onProgress called with the fraction that has been downloaded, in [0, 1]
 * @throws DownloadError
 */
export async function loadModel(files: Files, onProgress: (fraction: number) => void): Promise<Model> {
	const [model, runtime] = (await load(
		[
			{ url: files.model, size: files.sizes.model },
			{ url: files.runtime, size: files.sizes.runtime }
		],
		onProgress
	)) as [ArrayBuffer, ArrayBuffer];
	env.wasm.wasmBinary = runtime;
	env.wasm.wasmPaths = { mjs: files.runtimeCode };
	const session = await InferenceSession.create(new Uint8Array(model), { executionProviders: ['wasm'] });
	return (input) => run(session, input);
}

async function run(session: InferenceSession, { width, height, image, known }: ModelInput): Promise<Float32Array> {
	const { output } = await session.run({
		image: new Tensor('float32', image, [1, 3, height, width]),
		mask: new Tensor('float32', known, [1, 1, height, width])
	});
	if (!(output?.data instanceof Float32Array)) throw new Error('the model returned no image');
	return output.data;
}
