/** What the page and the worker that removes on this device say to each other. */

/** The URLs of what the worker loads, and how large it is in bytes. */
export interface Files {
	readonly model: string;
	readonly runtime: string;
	/** The JavaScript half of the runtime. */
	readonly runtimeCode: string;
	readonly sizes: { readonly model: number; readonly runtime: number };
}

export interface FillJob {
	readonly photo: Blob;
	/** The mask at the photo's size: 255 = hole. */
	readonly mask: Uint8Array<ArrayBuffer>;
	/** Whether a JPEG of the result is wanted, too. */
	readonly jpeg: boolean;
}

/** A job to do after those before it, or the number of one to cancel. */
export type ToWorker =
	{ readonly id: number; readonly files: Files; readonly job: FillJob } | { readonly cancel: number };

export interface Result {
	/** The lossless result, a PNG file. */
	readonly file: Blob;
	/** The result in the photo's own format, if that was wanted and could be made. */
	readonly jpeg: Blob | null;
}

/** Why a job failed: it was cancelled, the files could not be downloaded, the photo is too large, or something else. */
export type Failure = 'cancelled' | 'download' | 'size' | 'other';

/** `loading` is about the job that waits for the files, whichever that is. */
export type FromWorker =
	| { readonly kind: 'loading'; readonly fraction: number }
	| { readonly kind: 'filling'; readonly id: number }
	| { readonly kind: 'done'; readonly id: number; readonly result: Result }
	| { readonly kind: 'failed'; readonly id: number; readonly failure: Failure; readonly message: string };
