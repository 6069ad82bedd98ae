import type { Attachment } from 'svelte/attachments';
import type { StageView } from './stage-view.svelte';
import { distance, pan, pinch, zoom, type Point } from './view';

/** Handles drawing with a single pointer. Points are in stage coordinates. */
export interface DrawHandler {
	/** A single pointer went down. Return true to draw (`draw` gets its moves), false to pan the image. */
	begin(at: Point, event: PointerEvent): boolean;
	draw(points: readonly { at: Point; event: PointerEvent }[]): void;
	/** The pointer went up. `kept` is false if it was cancelled, or was the first finger of a pinch. */
	end(kept: boolean): void;
}

const WHEEL_STEP = 0.0016;
const PINCH_WHEEL_STEP = 0.01;
/** A stroke longer than this is kept even if a second finger touches down. */
const MIN_STROKE_PIXELS = 40;

/** Pointer and wheel input: one pointer draws (or pans, without a handler), two pointers or the wheel zoom and pan. */
export function gestures(view: () => StageView, handler?: DrawHandler): Attachment<HTMLElement> {
	return (stage) => {
		const pointers = new Map<number, Point>();
		let drawing: { id: number; start: Point; travelled: number } | null = null;

		const position = (event: MouseEvent): Point => {
			const box = stage.getBoundingClientRect();
			return { x: event.clientX - box.left, y: event.clientY - box.top };
		};

		const down = (event: PointerEvent) => {
			if (event.button > 1) return;
			stage.setPointerCapture(event.pointerId);
			pointers.set(event.pointerId, position(event));
			if (pointers.size === 1) {
				const start = position(event);
				if (handler?.begin(start, event)) drawing = { id: event.pointerId, start, travelled: 0 };
			} else if (drawing) {
				handler?.end(drawing.travelled > MIN_STROKE_PIXELS);
				drawing = null;
			}
		};

		const move = (event: PointerEvent) => {
			const before = pointers.get(event.pointerId);
			if (!before) return;
			const at = position(event);
			pointers.set(event.pointerId, at);
			if (drawing) {
				if (event.pointerId !== drawing.id) return;
				drawing.travelled = Math.max(drawing.travelled, distance(drawing.start, at));
				const events = event.getCoalescedEvents?.() ?? [];
				handler?.draw((events.length ? events : [event]).map((each) => ({ at: position(each), event: each })));
			} else if (pointers.size === 1) {
				view().set(pan(view().view, at.x - before.x, at.y - before.y));
			} else if (pointers.size === 2) {
				const [other] = [...pointers].filter(([id]) => id !== event.pointerId).map(([, point]) => point);
				if (other) {
					view().set(pinch(view().view, [before, other], [at, other], view().minScale));
				}
			}
		};

		const up = (event: PointerEvent) => {
			pointers.delete(event.pointerId);
			if (drawing?.id === event.pointerId) {
				drawing = null;
				handler?.end(event.type === 'pointerup');
			}
		};

		const wheel = (event: WheelEvent) => {
			event.preventDefault();
			const step = event.ctrlKey ? PINCH_WHEEL_STEP : WHEEL_STEP;
			const pixels = event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 33 : 1);
			const factor = Math.exp(-pixels * step);
			view().set(zoom(view().view, position(event), factor, view().minScale));
		};

		const stop = new AbortController();
		const { signal } = stop;
		stage.addEventListener('pointerdown', down, { signal });
		stage.addEventListener('pointermove', move, { signal });
		stage.addEventListener('pointerup', up, { signal });
		stage.addEventListener('pointercancel', up, { signal });
		stage.addEventListener('wheel', wheel, { signal, passive: false });
		// Otherwise the browser treats a quick stroke as a fling and swallows the next tap.
		stage.addEventListener('touchstart', (event) => event.preventDefault(), { signal, passive: false });
		return () => stop.abort();
	};
}
