import type { Size, View } from '../view/view';
import { segments, visible, type Edits, type Stroke } from './edits';
import { HOLE, type Mask } from './mask';

const MOST_PIXELS_A_SIDE = 2048;

/**
 * Shows the edits over the photo, on a canvas as large as the stage: whatever the photo's size, what is drawn is what
 * the screen has room for. The colour is opaque; the canvas's own opacity lets the photo through.
 */
export class PaintLayer {
	readonly #context: CanvasRenderingContext2D;
	readonly #colour: string;

	constructor(
		readonly canvas: HTMLCanvasElement,
		colour: string
	) {
		const context = canvas.getContext('2d');
		if (!context) throw new Error('This browser has no canvas.');
		this.#context = context;
		this.#colour = colour;
	}

	/** Draw everything. */
	draw(edits: Edits, photo: Size, view: View, stage: Size): void {
		const density = window.devicePixelRatio;
		const width = Math.round(stage.width * density);
		const height = Math.round(stage.height * density);
		if (this.canvas.width !== width || this.canvas.height !== height) {
			Object.assign(this.canvas, { width, height });
		} else {
			this.#context.setTransform(1, 0, 0, 1, 0, 0);
			this.#context.clearRect(0, 0, width, height);
		}
		const { base, strokes } = visible(edits);
		this.#onPhoto(photo, view, () => {
			if (base) {
				this.#context.globalCompositeOperation = 'source-over';
				this.#context.drawImage(pictureOf(base, this.#colour), 0, 0, photo.width, photo.height);
			}
			for (const stroke of strokes) {
				this.#as(stroke);
				for (const { radius, path } of pathsOf(stroke)) {
					this.#context.lineWidth = 2 * radius;
					this.#context.stroke(path);
				}
			}
		});
	}

	/** Draw what a stroke has gained since its dab number `from`. */
	extend(stroke: Stroke, from: number, photo: Size, view: View): void {
		this.#onPhoto(photo, view, () => {
			this.#as(stroke);
			for (const { radius, path } of pathsFrom(stroke, from)) {
				this.#context.lineWidth = 2 * radius;
				this.#context.stroke(path);
			}
		});
	}

	#as({ erase }: Stroke): void {
		this.#context.globalCompositeOperation = erase ? 'destination-out' : 'source-over';
		this.#context.strokeStyle = this.#colour;
		this.#context.lineCap = this.#context.lineJoin = 'round';
	}

	#onPhoto(photo: Size, { scale, x, y }: View, paint: () => void): void {
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

const drawn = new WeakMap<Stroke, readonly Run[]>();

/** A finished stroke as paths, made once. */
function pathsOf(stroke: Stroke): readonly Run[] {
	let runs = drawn.get(stroke);
	if (!runs) drawn.set(stroke, (runs = pathsFrom(stroke, 0)));
	return runs;
}

/** One path for as long as the radius stays the same. */
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

const pictures = new WeakMap<Mask, OffscreenCanvas>();

/** A mask as a picture of the paint, reduced to what a screen can show; no hole is lost on the way. */
function pictureOf(mask: Mask, colour: string): OffscreenCanvas {
	const known = pictures.get(mask);
	if (known) return known;
	const step = Math.ceil(Math.max(mask.width, mask.height) / MOST_PIXELS_A_SIDE);
	const width = Math.ceil(mask.width / step);
	const height = Math.ceil(mask.height / step);
	const picture = new OffscreenCanvas(width, height);
	const context = picture.getContext('2d');
	if (!context) throw new Error('This browser has no canvas.');
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
	pictures.set(mask, picture);
	return picture;
}
