import type { Attachment } from 'svelte/attachments';
import type { StageView } from './stage-view.svelte';
import { distance, pan, pinch, zoom, type Point } from './view';

/** What a single pointer can do beside moving the picture. Points are on the stage. */
export interface Pen {
	/** One pointer went down. True: it draws, and `draw` gets what follows; false: it moves the picture. */
	begin(at: Point, event: PointerEvent): boolean;
	draw(points: readonly { at: Point; event: PointerEvent }[]): void;
	/** It went up, or, not kept, turned out to be the first finger of a pinch. */
	end(kept: boolean): void;
}

const WHEEL_STEP = 0.0016;
const PINCH_WHEEL_STEP = 0.01;
/** A stroke that has come this far is meant, even if another finger touches down. */
const MEANT_PIXELS = 40;

/** Turn pointers and the wheel into drawing (one pointer, where there is a pen), moving and zooming (two, or the wheel). */
export function gestures(picture: () => StageView, pen?: Pen): Attachment<HTMLElement> {
	return (stage) => {
		const pointers = new Map<number, Point>();
		let drawing: { id: number; start: Point; travelled: number } | null = null;

		const place = (event: MouseEvent): Point => {
			const box = stage.getBoundingClientRect();
			return { x: event.clientX - box.left, y: event.clientY - box.top };
		};

		const down = (event: PointerEvent) => {
			if (event.button > 1) return;
			stage.setPointerCapture(event.pointerId);
			pointers.set(event.pointerId, place(event));
			if (pointers.size === 1) {
				const start = place(event);
				if (pen?.begin(start, event)) drawing = { id: event.pointerId, start, travelled: 0 };
			} else if (drawing) {
				pen?.end(drawing.travelled > MEANT_PIXELS);
				drawing = null;
			}
		};

		const move = (event: PointerEvent) => {
			const before = pointers.get(event.pointerId);
			if (!before) return;
			const at = place(event);
			pointers.set(event.pointerId, at);
			if (drawing) {
				if (event.pointerId !== drawing.id) return;
				drawing.travelled = Math.max(drawing.travelled, distance(drawing.start, at));
				const events = event.getCoalescedEvents?.() ?? [];
				pen?.draw((events.length ? events : [event]).map((each) => ({ at: place(each), event: each })));
			} else if (pointers.size === 1) {
				picture().set(pan(picture().view, at.x - before.x, at.y - before.y));
			} else if (pointers.size === 2) {
				const [other] = [...pointers].filter(([id]) => id !== event.pointerId).map(([, point]) => point);
				if (other) {
					picture().set(pinch(picture().view, [before, other], [at, other], picture().smallest));
				}
			}
		};

		const up = (event: PointerEvent) => {
			pointers.delete(event.pointerId);
			if (drawing?.id === event.pointerId) {
				drawing = null;
				pen?.end(event.type === 'pointerup');
			}
		};

		const wheel = (event: WheelEvent) => {
			event.preventDefault();
			const step = event.ctrlKey ? PINCH_WHEEL_STEP : WHEEL_STEP;
			const pixels = event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 33 : 1);
			const factor = Math.exp(-pixels * step);
			picture().set(zoom(picture().view, place(event), factor, picture().smallest));
		};

		const stop = new AbortController();
		const { signal } = stop;
		stage.addEventListener('pointerdown', down, { signal });
		stage.addEventListener('pointermove', move, { signal });
		stage.addEventListener('pointerup', up, { signal });
		stage.addEventListener('pointercancel', up, { signal });
		stage.addEventListener('wheel', wheel, { signal, passive: false });
		// A quick stroke is no fling, which would make the browser swallow the tap that follows.
		stage.addEventListener('touchstart', (event) => event.preventDefault(), { signal, passive: false });
		return () => stop.abort();
	};
}
