/** Removing and finding marks on this device: the page's side of the worker. */
import { OfflineError, UserError } from '../errors';
import marksUrl from '../../../.on-device/marks.bin?url';
import modelUrl from '../../../.on-device/model.bin?url';
import runtimeUrl from '../../../.on-device/runtime.bin?url';
import runtimeCodeUrl from '../../../.on-device/runtime.js?url';
import { MAX_PIXELS } from './constants.json';
import type { Failure, Filled, FillJob, Files, FromWorker, Job, Marks, MarksJob, ToWorker } from './messages';

/** Megabytes to download before the first removal. */
export const DOWNLOAD_MEGABYTES = Math.ceil((ON_DEVICE_SIZES.model + ON_DEVICE_SIZES.runtime) / 1e6);

export interface Hooks {
	readonly signal: AbortSignal;
	/** Called with the fraction of the network and the runtime that has been downloaded, in [0, 1]. */
	readonly onLoad: (fraction: number) => void;
	/** Called when the removal or the search itself starts. */
	readonly onStart: () => void;
}

interface Waiting extends Omit<Hooks, 'signal'> {
	readonly resolve: (result: Filled | Marks) => void;
	readonly reject: (reason: Error) => void;
}

let worker: Worker | undefined;
let jobs = 0;
/** The jobs without a result, by their number, in order. */
const waiting = new Map<number, Waiting>();

/**
 * Fill the white part of a mask or, without a mask, the transparent part of the photo, in a worker.
 *
 * @throws OfflineError
 * @throws UserError the photo is too large
 * @throws DOMException AbortError, when the signal is aborted
 */
export function fillOnDevice(job: Omit<FillJob, 'kind'>, hooks: Hooks): Promise<Filled> {
	return work({ kind: 'fill', ...job }, hooks) as Promise<Filled>;
}

/** Find scratches, dust, thin lines and pen strokes, in a worker. Throws the errors of `fillOnDevice`. */
export function findMarksOnDevice(job: Omit<MarksJob, 'kind'>, hooks: Hooks): Promise<Marks> {
	return work({ kind: 'marks', ...job }, hooks) as Promise<Marks>;
}

function work(job: Job, { signal, ...hooks }: Hooks): Promise<Filled | Marks> {
	const id = ++jobs;
	return new Promise((resolve, reject) => {
		signal.throwIfAborted();
		const abort = () => {
			waiting.delete(id);
			send({ cancel: id });
			reject(signal.reason as DOMException);
		};
		const settled = () => signal.removeEventListener('abort', abort);
		signal.addEventListener('abort', abort);
		waiting.set(id, {
			...hooks,
			resolve(result) {
				settled();
				resolve(result);
			},
			reject(reason) {
				settled();
				reject(reason);
			}
		});
		send({ id, files: files(), job });
	});
}

function send(message: ToWorker): void {
	if (!worker) {
		worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
		worker.onmessage = ({ data }: MessageEvent<FromWorker>) => receive(data);
		worker.onerror = ({ message }) => restart(message);
	}
	worker.postMessage(message);
}

function receive(message: FromWorker): void {
	if (message.kind === 'loading') {
		const [first] = waiting.values();
		first?.onLoad(message.fraction);
		return;
	}
	const job = waiting.get(message.id); // none, if it was cancelled
	if (message.kind === 'started') return job?.onStart();
	waiting.delete(message.id);
	if (message.kind === 'done') job?.resolve(message.result);
	else if (message.failure === 'other') restart(message.message, job);
	else job?.reject(errorOf(message.failure, message.message));
}

function errorOf(failure: Failure, message: string): Error {
	if (failure === 'download') return new OfflineError(message);
	if (failure === 'cancelled') return new DOMException(message, 'AbortError');
	return new UserError(`This photo is too large for this device; the limit is ${MAX_PIXELS / 1e6} megapixels.`);
}

/** Stop the worker after an error, such as too little memory. The next job gets a new one. */
function restart(message: string, job?: Waiting): void {
	worker?.terminate();
	worker = undefined;
	for (const each of job ? [job, ...waiting.values()] : waiting.values()) each.reject(new Error(message));
	waiting.clear();
}

function files(): Files {
	const absolute = (url: string) => new URL(url, document.baseURI).href;
	return {
		model: { url: absolute(modelUrl), size: ON_DEVICE_SIZES.model },
		marks: { url: absolute(marksUrl), size: ON_DEVICE_SIZES.marks },
		runtime: { url: absolute(runtimeUrl), size: ON_DEVICE_SIZES.runtime },
		runtimeCode: absolute(runtimeCodeUrl)
	};
}
