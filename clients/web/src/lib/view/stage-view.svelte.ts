import type { Attachment } from 'svelte/attachments';
import { fit, keepInSight, zoom, type Size, type View } from './view';

const SMALLEST_OF_FIT = 0.7;
/** On a stage that is narrower than this, the photo gets all of it. */
const NARROW = 480;
const MARGIN = 24;
export const ZOOM_STEP = 1.4;

/** A picture's view on a stage that may change its size: fitted until somebody zooms or moves it. */
export class StageView {
	stage: Size = $state.raw({ width: 0, height: 0 });
	#chosen: View | null = $state.raw(null);

	constructor(readonly picture: () => Size) {}

	/** Attached to the element that is the stage, keeps its size. */
	readonly measure: Attachment<HTMLElement> = (element) => {
		const note = () => (this.stage = { width: element.clientWidth, height: element.clientHeight });
		const observer = new ResizeObserver(note);
		note();
		observer.observe(element);
		return () => observer.disconnect();
	};

	readonly fitted: View = $derived.by(() => fit(this.picture(), this.stage, this.stage.width < NARROW ? 0 : MARGIN));
	readonly view: View = $derived(this.#chosen ?? this.fitted);
	readonly isFitted: boolean = $derived(this.#chosen === null);

	/** What the keys of the keyboard do. */
	readonly keys: Readonly<Record<string, () => void>> = {
		'+': () => this.zoom(ZOOM_STEP),
		'=': () => this.zoom(ZOOM_STEP),
		'-': () => this.zoom(1 / ZOOM_STEP),
		'0': () => this.fit()
	};

	get smallest(): number {
		return this.fitted.scale * SMALLEST_OF_FIT;
	}

	set(view: View): void {
		this.#chosen = keepInSight(view, this.picture(), this.stage);
	}

	fit(): void {
		this.#chosen = null;
	}

	/** Zoom about the stage's middle. */
	zoom(factor: number): void {
		const middle = { x: this.stage.width / 2, y: this.stage.height / 2 };
		this.set(zoom(this.view, middle, factor, this.smallest));
	}
}
