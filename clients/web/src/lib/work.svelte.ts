import type { Photo } from './image/photo';
import { isBlank, type Edit } from './mask/edits';
import { nextJob, paintOf, pendingPaintOf, photoOf, type Timeline } from './timeline';

/** An open photo: its timeline, and the state derived from it. */
export class Work {
	timeline: Timeline;
	/** The identifier of the photo that was downloaded last, or of the original. */
	downloaded: string;

	/** The newest photo. */
	readonly photo: Photo = $derived.by(() => photoOf(this.timeline));
	/** The paint added since the last removal. */
	readonly paint: readonly Edit[] = $derived.by(() => paintOf(this.timeline));
	/** The paint of the removals that have no result yet. */
	readonly pendingPaint: readonly Edit[] = $derived.by(() => pendingPaintOf(this.timeline));
	readonly isBlank: boolean = $derived(isBlank(this.paint));
	/** Whether there is paint, or a result that was not downloaded. */
	readonly unsaved: boolean = $derived.by(
		() => this.photo.id !== this.downloaded || !this.isBlank || nextJob(this.timeline) !== null
	);

	constructor(
		readonly id: string,
		timeline: Timeline,
		downloaded = timeline.original.id
	) {
		this.timeline = $state.raw(timeline);
		this.downloaded = $state(downloaded);
	}

	get original(): Photo {
		return this.timeline.original;
	}
}
