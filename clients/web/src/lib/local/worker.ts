/** The worker that removes and finds marks on this device, one job at a time. */
import { HOLE } from '../mask/mask';
import { MAX_PIXELS } from './constants.json';
import { DownloadError } from './download';
import { round, type Picture } from './image';
import { marksOf, searchMarks, type MarksNetwork, type Search } from './marks';
import type { Failure, Filled, FillJob, Files, FromWorker, Job, Marks, MarksJob, ToWorker } from './messages';
import { loadMarksNetwork, loadModel } from './model';
import { decodePhoto, encodeJpeg, encodePhoto, isGrey, transparent, withOpaque } from './photo-pixels';
import { fillHoles } from './pyramid';
import type { Model } from './tiling';

class CancelledError extends Error {}
class TooLargeError extends Error {}

let model: Model | undefined;
let marksNetwork: MarksNetwork | undefined;
/** The last search for marks: changing the sensitivity does not run the network again. */
let lastSearch: { readonly photoId: string; readonly search: Search } | undefined;
let previous: Promise<void> = Promise.resolve();
const cancelled = new Set<number>();

function post(message: FromWorker): void {
	postMessage(message);
}

addEventListener('message', ({ data }: MessageEvent<ToWorker>) => {
	if ('cancel' in data) cancelled.add(data.cancel);
	else previous = previous.then(() => work(data.id, data.files, data.job));
});

async function work(id: number, files: Files, job: Job): Promise<void> {
	try {
		const result = job.kind === 'fill' ? await fill(id, files, job) : await findMarks(id, files, job);
		post({ kind: 'done', id, result });
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

function onProgress(fraction: number): void {
	post({ kind: 'loading', fraction });
}

/** Start a job whose files are loaded, unless it was cancelled meanwhile. */
function start(id: number, pixels: number): void {
	throwIfCancelled(id);
	post({ kind: 'started', id });
	if (pixels > MAX_PIXELS) throw new TooLargeError();
}

async function findMarks(id: number, files: Files, job: MarksJob): Promise<Marks> {
	const { photo, photoId, pixels, sensitivity } = job;
	marksNetwork ??= await loadMarksNetwork(files, onProgress);
	start(id, pixels);
	if (lastSearch?.photoId !== photoId) {
		const { picture } = await decodePhoto(photo);
		await pause();
		throwIfCancelled(id);
		lastSearch = { photoId, search: await searchMarks(picture, marksNetwork) };
	}
	return marksOf(lastSearch.search, sensitivity);
}

async function fill(id: number, files: Files, job: FillJob): Promise<Filled> {
	model ??= await loadModel(files, onProgress);
	const run = model;
	start(id, job.pixels);
	const photo = await decodePhoto(job.photo);
	const { picture } = photo;
	const hole = { ...picture, data: job.mask ? job.mask.map((value) => Number(value === HOLE)) : transparent(photo) };
	if (hole.data.length !== picture.width * picture.height) throw new Error('the mask and the photo differ in size');
	const grey = isGrey(picture, hole.data);
	await fillHoles(picture, hole, async (input) => {
		await pause();
		throwIfCancelled(id);
		return run(input);
	});
	if (grey) removeColour(picture, hole.data);
	const filled = job.mask ? photo : withOpaque(photo, hole.data);
	return { file: await encodePhoto(filled), jpeg: job.jpeg ? await encodeJpeg(picture) : null };
}

/** Let waiting messages arrive. */
function pause(): Promise<void> {
	return new Promise((resolve) => setTimeout(resolve));
}

function removeColour({ data }: Picture, hole: Uint8Array): void {
	hole.forEach((inside, i) => {
		if (inside) data.fill(round((data[3 * i]! + data[3 * i + 1]! + data[3 * i + 2]!) / 3), 3 * i, 3 * i + 3);
	});
}
