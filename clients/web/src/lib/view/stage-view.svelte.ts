import type { Attachment } from 'svelte/attachments';
import { fit, keepInView, pan, zoom, type Size, type View } from './view';

/** The smallest scale, as a fraction of the fitted one. */
const MIN_FIT_FRACTION = 0.7;
/** On a stage narrower than this, the photo is fitted without a margin. */
const NARROW = 480;
const MARGIN = 24;
export const ZOOM_STEP = 1.4;
/** A key moves the photo by this fraction of the stage. */
const PAN_FRACTION = 0.25;

/** The view of an image on a resizable stage: fitted until the user zooms or pans. */
export class StageView {
	stage: Size = $state.raw({ width: 0, height: 0 });
	#custom: View | null = $state.raw(null);

	constructor(readonly image: () => Size) {}

	/** Attach to the stage element, to track its size. */
	readonly measure: Attachment<HTMLElement> = (element) => {
		const update = () => (this.stage = { width: element.clientWidth, height: element.clientHeight });
		const observer = new ResizeObserver(update);
		update();
		observer.observe(element);
		return () => observer.disconnect();
	};

	readonly fitted: View = $derived.by(() => fit(this.image(), this.stage, this.stage.width < NARROW ? 0 : MARGIN));
	readonly view: View = $derived(this.#custom ?? this.fitted);
	readonly isFitted: boolean = $derived(this.#custom === null);

	/** Keyboard shortcuts. */
	readonly keys: Readonly<Record<string, () => void>> = {
		'+': () => this.zoom(ZOOM_STEP),
		'Shift++': () => this.zoom(ZOOM_STEP),
		'=': () => this.zoom(ZOOM_STEP),
		'-': () => this.zoom(1 / ZOOM_STEP),
		'0': () => this.fit(),
		PageUp: () => this.#pan(0, 1),
		PageDown: () => this.#pan(0, -1),
		'Shift+PageUp': () => this.#pan(1, 0),
		'Shift+PageDown': () => this.#pan(-1, 0)
	};

	get minScale(): number {
		return this.fitted.scale * MIN_FIT_FRACTION;
	}

	set(view: View): void {
		this.#custom = keepInView(view, this.image(), this.stage);
	}

	fit(): void {
		this.#custom = null;
	}

	/** Zoom about the centre of the stage. */
	zoom(factor: number): void {
		const centre = { x: this.stage.width / 2, y: this.stage.height / 2 };
		this.set(zoom(this.view, centre, factor, this.minScale));
	}

	/** Move the image by a step to the right (x = 1) or down (y = 1). */
	#pan(x: number, y: number): void {
		const { width, height } = this.stage;
		this.set(pan(this.view, x * PAN_FRACTION * width, y * PAN_FRACTION * height));
	}
}
