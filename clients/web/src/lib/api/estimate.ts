/** Estimates how long the server works on a removal, from the removals before. */

import { remember, remembered } from '../storage/settings';

const NAME = 'seconds-per-megapixel';
/** Seconds for each megapixel of the photo, before the first removal: of two processor cores. */
const DEFAULT_RATE = 0.4;
/** Of a smaller photo the time hardly depends on its size. */
const MIN_MEGAPIXELS = 1;
/** The weight of the newest removal: the time also depends on what is painted. */
const NEWEST = 0.5;

function rate(): number {
	return Number(remembered(NAME)) || DEFAULT_RATE;
}

/** @param pixels of the photo */
export function expectedSeconds(pixels: number): number {
	return rate() * Math.max(MIN_MEGAPIXELS, pixels / 1e6);
}

export function recordSeconds(pixels: number, seconds: number): void {
	const measured = seconds / Math.max(MIN_MEGAPIXELS, pixels / 1e6);
	remember(NAME, String(NEWEST * measured + (1 - NEWEST) * rate()));
}
