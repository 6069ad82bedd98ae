/** Removes on this device, beside the page: one job at a time. */
import { HOLE } from '../mask/mask';
import { MAX_PIXELS } from './constants.json';
import { DownloadError } from './download';
import { round, type Picture } from './image';
import type { Failure, FillJob, Files, FromWorker, Result, ToWorker } from './messages';
import { loadModel } from './model';
import { decodePhoto, encodeJpeg, encodePhoto, isGrey } from './photo-pixels';
import { fillHoles } from './pyramid';
import type { Model } from './tiling';

class CancelledError extends Error {}
class TooLargeError extends Error {}

let model: Promise<Model> | undefined;
let previous: Promise<void> = Promise.resolve();
const cancelled = new Set<number>();

function post(message: FromWorker): void {
	postMessage(message);
}

addEventListener('message', ({ data }: MessageEvent<ToWorker>) => {
	if ('cancel' in data) cancelled.add(data.cancel);
	else previous = previous.then(() => work(data.id, data.files, data.job));
});

async function work(id: number, files: Files, job: FillJob): Promise<void> {
	try {
		model ??= loadModel(files, (fraction) => post({ kind: 'loading', fraction }));
		const run = await model.catch((error: unknown) => {
			model = undefined;
			throw error;
		});
		throwIfCancelled(id);
		post({ kind: 'filling', id });
		post({ kind: 'done', id, result: await fill(id, job, run) });
	} catch (error) {
		post({ kind: 'failed', id, failure: failureOf(error), message: String(error) });
	} finally {
		cancelled.delete(id);
	}
}

function throwIfCancelled(id: number): void {
	if (cancelled.has(id)) throw new CancelledError();
}

function failureOf(error: unknown): Failure {
	if (error instanceof CancelledError) return 'cancelled';
	if (error instanceof DownloadError) return 'download';
	return error instanceof TooLargeError ? 'size' : 'other';
}

async function fill(id: number, job: FillJob, run: Model): Promise<Result> {
	if (job.mask.length > MAX_PIXELS) throw new TooLargeError();
	const photo = await decodePhoto(job.photo);
	const { picture } = photo;
	const hole = { ...picture, data: job.mask.map((value) => Number(value === HOLE)) };
	if (hole.data.length !== picture.width * picture.height) throw new Error('the mask has another size');
	const grey = isGrey(picture, hole.data);
	await fillHoles(picture, hole, async (input) => {
		await pause();
		throwIfCancelled(id);
		return run(input);
	});
	if (grey) removeColour(picture, hole.data);
	return { file: await encodePhoto(photo), jpeg: job.jpeg ? await encodeJpeg(picture) : null };
}

/** Let a message arrive. */
function pause(): Promise<void> {
	return new Promise((resolve) => setTimeout(resolve));
}

function removeColour({ data }: Picture, hole: Uint8Array): void {
	hole.forEach((inside, i) => {
		if (inside) data.fill(round((data[3 * i]! + data[3 * i + 1]! + data[3 * i + 2]!) / 3), 3 * i, 3 * i + 3);
	});
}
