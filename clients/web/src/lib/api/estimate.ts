/** Estimates how long a removal takes, from earlier removals. */

import { remember, remembered } from '../storage/settings';

/** Where a removal runs. */
export type Place = 'server' | 'device';

const NAMES = { server: 'seconds-per-megapixel', device: 'seconds-per-megapixel-on-device' };
/** Seconds per megapixel of the photo, before the first removal: on two processor cores, or on one in a browser. */
const DEFAULT_RATES = { server: 0.4, device: 3 };
/** For smaller photos, the time hardly depends on the size. */
const MIN_MEGAPIXELS = 1;
/** The weight of the newest removal: the time also depends on what is painted. */
const NEWEST = 0.5;

function rate(place: Place): number {
	return Number(remembered(NAMES[place])) || DEFAULT_RATES[place];
}

/** @param pixels of the photo */
export function expectedSeconds(pixels: number, place: Place): number {
	return rate(place) * Math.max(MIN_MEGAPIXELS, pixels / 1e6);
}

export function recordSeconds(pixels: number, seconds: number, place: Place): void {
	const measured = seconds / Math.max(MIN_MEGAPIXELS, pixels / 1e6);
	remember(NAMES[place], String(NEWEST * measured + (1 - NEWEST) * rate(place)));
}
