import type { Size, View } from '../view/view';
import { segments, visible, type Area, type Edit, type Stroke } from './edits';
import { HOLE, type Mask } from './mask';

const MAX_SIDE_PIXELS = 2048;

/**
 * Draws the edits over the photo, on a canvas as large as the stage: its cost depends on the screen, not on the size of
 * the photo. The colour is opaque; the canvas's CSS opacity lets the photo show through.
 */
export class PaintLayer {
	readonly #context: CanvasRenderingContext2D;
	readonly #colour: string;

	constructor(
		readonly canvas: HTMLCanvasElement,
		colour: string
	) {
		const context = canvas.getContext('2d');
		if (!context) throw new Error('2D canvas is not available');
		this.#context = context;
		this.#colour = colour;
	}

	/** Draw everything. */
	draw(edits: readonly Edit[], photo: Size, view: View, stage: Size): void {
		const density = window.devicePixelRatio;
		const width = Math.round(stage.width * density);
		const height = Math.round(stage.height * density);
		if (this.canvas.width !== width || this.canvas.height !== height) {
			Object.assign(this.canvas, { width, height });
		} else {
			this.#context.setTransform(1, 0, 0, 1, 0, 0);
			this.#context.clearRect(0, 0, width, height);
		}
		const { base, marks } = visible(edits);
		this.#clipToPhoto(photo, view, () => {
			if (base) this.#drawMask(base);
			for (const mark of marks) {
				if (mark.kind === 'area') {
					this.#fill(mark);
					continue;
				}
				if (mark.kind === 'proposal') {
					this.#drawMask(mark.mask);
					continue;
				}
				this.#setStyle(mark);
				for (const { radius, path } of pathsOf(mark)) {
					this.#context.lineWidth = 2 * radius;
					this.#context.stroke(path);
				}
			}
		});
	}

	/** Draw the part of a stroke that starts at dab number `from`. */
	extend(stroke: Stroke, from: number, photo: Size, view: View): void {
		this.#clipToPhoto(photo, view, () => {
			this.#setStyle(stroke);
			for (const { radius, path } of pathsFrom(stroke, from)) {
				this.#context.lineWidth = 2 * radius;
				this.#context.stroke(path);
			}
		});
	}

	#drawMask(mask: Mask): void {
		this.#context.globalCompositeOperation = 'source-over';
		this.#context.drawImage(imageOf(mask, this.#colour), 0, 0, mask.width, mask.height);
	}

	#fill({ outline }: Area): void {
		this.#context.globalCompositeOperation = 'source-over';
		this.#context.fillStyle = this.#colour;
		this.#context.beginPath();
		for (const { x, y } of outline) this.#context.lineTo(x, y);
		this.#context.fill();
	}

	#setStyle({ erase }: Stroke): void {
		this.#context.globalCompositeOperation = erase ? 'destination-out' : 'source-over';
		this.#context.strokeStyle = this.#colour;
		this.#context.lineCap = this.#context.lineJoin = 'round';
	}

	#clipToPhoto(photo: Size, { scale, x, y }: View, paint: () => void): void {
		const density = window.devicePixelRatio;
		this.#context.save();
		this.#context.setTransform(scale * density, 0, 0, scale * density, x * density, y * density);
		this.#context.beginPath();
		this.#context.rect(0, 0, photo.width, photo.height);
		this.#context.clip();
		paint();
		this.#context.restore();
	}
}

interface Run {
	readonly radius: number;
	readonly path: Path2D;
}

const cachedPaths = new WeakMap<Stroke, readonly Run[]>();

/** A finished stroke as paths, cached. */
function pathsOf(stroke: Stroke): readonly Run[] {
	let runs = cachedPaths.get(stroke);
	if (!runs) cachedPaths.set(stroke, (runs = pathsFrom(stroke, 0)));
	return runs;
}

/** One path for each run of equal radius. */
function pathsFrom(stroke: Stroke, from: number): readonly Run[] {
	const runs: Run[] = [];
	for (const [start, end] of segments(stroke, from)) {
		let run = runs.at(-1);
		if (run?.radius !== end.radius) {
			run = { radius: end.radius, path: new Path2D() };
			run.path.moveTo(start.x, start.y);
			runs.push(run);
		}
		run.path.lineTo(end.x, end.y);
	}
	return runs;
}

const images = new WeakMap<Mask, OffscreenCanvas>();

/** A mask as an image of the paint, downscaled to screen resolution. No hole is lost, however small. */
function imageOf(mask: Mask, colour: string): OffscreenCanvas {
	const cached = images.get(mask);
	if (cached) return cached;
	const step = Math.ceil(Math.max(mask.width, mask.height) / MAX_SIDE_PIXELS);
	const width = Math.ceil(mask.width / step);
	const height = Math.ceil(mask.height / step);
	const image = new OffscreenCanvas(width, height);
	const context = image.getContext('2d');
	if (!context) throw new Error('2D canvas is not available');
	const samples = context.createImageData(width, height);
	for (let y = 0, i = 0; y < mask.height; y++) {
		const row = Math.floor(y / step) * width;
		for (let x = 0; x < mask.width; x++, i++) {
			if (mask.data[i] === HOLE) samples.data[4 * (row + Math.floor(x / step)) + 3] = 255;
		}
	}
	context.putImageData(samples, 0, 0);
	context.globalCompositeOperation = 'source-in';
	context.fillStyle = colour;
	context.fillRect(0, 0, width, height);
	images.set(mask, image);
	return image;
}
