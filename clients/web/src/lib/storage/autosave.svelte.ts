import { saveWork, type Snapshot } from './works';

/** Stores the newest state of a work, one write at a time. */
export class Autosave {
	/** Whether the last change is stored. */
	stored = $state(true);
	#waiting: Snapshot | null = null;
	#writing: Promise<void> | null = null;

	/** Store a work. A state that is still waiting when the next one comes is skipped. */
	schedule(work: Snapshot): void {
		this.#waiting = work;
		this.stored = false;
		this.#writing ??= this.#write();
	}

	/** Wait until nothing is left to write. */
	async finish(): Promise<void> {
		await this.#writing;
	}

	async #write(): Promise<void> {
		while (this.#waiting) {
			const work = this.#waiting;
			this.#waiting = null;
			const stored = await saveWork(work).then(
				() => true,
				() => false // storage is disabled or full: the page asks before it is left
			);
			if (!this.#waiting) this.stored = stored;
		}
		this.#writing = null;
	}
}
