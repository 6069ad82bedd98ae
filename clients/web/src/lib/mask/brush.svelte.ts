import { clamp, type Point, type View } from '../view/view';
import type { Dab } from './edits';

export const MIN_BRUSH_SIZE = 4;
export const MAX_BRUSH_SIZE = 160;
const DEFAULT_SIZE = 14;
const STEP = 1.2;
/** Fraction of the brush size at the lightest pen pressure. */
const MIN_PRESSURE_SCALE = 0.3;

export type Tool = 'brush' | 'lasso' | 'eraser';

/** The tool to paint with. The brush's size is constant on the screen, so zooming in makes it finer on the photo. */
export class Brush {
	tool: Tool = $state('brush');
	/** Diameter in CSS pixels. */
	size = $state(DEFAULT_SIZE);

	resize(size: number): void {
		this.size = Math.round(clamp(size, MIN_BRUSH_SIZE, MAX_BRUSH_SIZE));
	}

	larger(): void {
		this.resize(Math.max(this.size + 1, this.size * STEP));
	}

	smaller(): void {
		this.resize(this.size / STEP);
	}

	/** The brush's mark at a point of the photo, with pen pressure in (0, 1]. */
	dab(at: Point, view: View, pressure = 1): Dab {
		const fraction = MIN_PRESSURE_SCALE + (1 - MIN_PRESSURE_SCALE) * pressure;
		return { x: at.x, y: at.y, radius: (fraction * this.size) / 2 / view.scale };
	}
}
