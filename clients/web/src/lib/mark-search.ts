/** A search for marks on the open photo, whose sensitivity the user can change. */
export interface MarkSearch {
	/** In [0, 1]. */
	readonly sensitivity: number;
	/** The fraction of the photo that was found to be marks, in [0, 1]; null while the search runs. */
	readonly share: number | null;
	/** Seconds until a busy server is asked again; 0 if it is not busy. */
	readonly waiting: number;
	/** On this device, the fraction that has been downloaded of what is downloading, in [0, 1]; null if nothing is. */
	readonly loading: number | null;
}

export const DEFAULT_SENSITIVITY = 0.5;

/** What a search has found, in words. */
export function describeSearch({ sensitivity, share, waiting, loading }: MarkSearch): string {
	if (waiting) return `The server is busy. Trying again in ${waiting} s`;
	if (loading !== null) return `Downloading… ${Math.round(100 * loading)}%`;
	if (share === null) return 'Finding marks…';
	if (share > 0) return `Marks found on ${percent(share)} of the photo.`;
	return `No marks found. ${sensitivity < 1 ? 'Try a higher sensitivity.' : 'Paint over what you want to remove.'}`;
}

function percent(share: number): string {
	return share < 0.001 ? 'less than 0.1%' : `${(100 * share).toFixed(1)}%`;
}
