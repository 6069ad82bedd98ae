/** The messages between the page and the worker that removes and finds marks on this device. */

/** A file that the worker loads, and its size in bytes. */
export interface LoadedFile {
	readonly url: string;
	readonly size: number;
}

/** What the worker loads. */
export interface Files {
	readonly model: LoadedFile;
	/** The network that finds marks. */
	readonly marks: LoadedFile;
	readonly runtime: LoadedFile;
	/** The URL of the JavaScript half of the runtime. */
	readonly runtimeCode: string;
}

export interface FillJob {
	readonly kind: 'fill';
	readonly photo: Blob;
	/** The mask at the photo's size: 255 = hole. Without one the photo's transparent part is filled. */
	readonly mask: Uint8Array<ArrayBuffer> | null;
	readonly pixels: number;
	/** Whether a JPEG of the result is wanted, too. */
	readonly jpeg: boolean;
}

export interface MarksJob {
	readonly kind: 'marks';
	readonly photo: Blob;
	/** The photo's identifier: the network runs once for several searches in the same photo. */
	readonly photoId: string;
	readonly pixels: number;
	/** In [0, 1]. */
	readonly sensitivity: number;
}

export type Job = FillJob | MarksJob;

/** A job to run after those before it, or the number of a job to cancel. */
export type ToWorker = { readonly id: number; readonly files: Files; readonly job: Job } | { readonly cancel: number };

export interface Filled {
	/** The lossless result, a PNG file. */
	readonly file: Blob;
	/** The result in the photo's own format, if that was requested and could be encoded. */
	readonly jpeg: Blob | null;
}

/** A mask at the photo's size: 255 = mark. */
export type Marks = Uint8Array<ArrayBuffer>;

/** Why a job failed: it was cancelled, the files could not be downloaded, the photo is too large, or something else. */
export type Failure = 'cancelled' | 'download' | 'size' | 'other';

/** `loading` has no job number: it is about the job that is waiting for the files. */
export type FromWorker =
	| { readonly kind: 'loading'; readonly fraction: number }
	| { readonly kind: 'started'; readonly id: number }
	| { readonly kind: 'done'; readonly id: number; readonly result: Filled | Marks }
	| { readonly kind: 'failed'; readonly id: number; readonly failure: Failure; readonly message: string };
