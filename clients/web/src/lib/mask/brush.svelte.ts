import { clamp, type Point, type View } from '../view/view';
import type { Dab } from './edits';

export const SMALLEST_BRUSH = 4;
export const LARGEST_BRUSH = 160;
const USUAL = 14;
const STEP = 1.2;
/** The share of its size that a pen's brush keeps under the lightest touch. */
const LIGHTEST = 0.3;

/** The brush. Its size stays the same on the screen, so that zooming in makes it finer on the photo. */
export class Brush {
	/** Diameter in CSS pixels. */
	size = $state(USUAL);
	erasing = $state(false);

	resize(size: number): void {
		this.size = Math.round(clamp(size, SMALLEST_BRUSH, LARGEST_BRUSH));
	}

	larger(): void {
		this.resize(Math.max(this.size + 1, this.size * STEP));
	}

	smaller(): void {
		this.resize(this.size / STEP);
	}

	/** What the brush leaves at a place of the photo, under a pen's pressure in (0, 1]. */
	dab(place: Point, view: View, pressure = 1): Dab {
		const share = LIGHTEST + (1 - LIGHTEST) * pressure;
		return { x: place.x, y: place.y, radius: (share * this.size) / 2 / view.scale };
	}
}
