/** Which work is open in which tab. */

const NAME = 'inpaint-work';
/** Milliseconds to wait for a tab that is just being reloaded. */
const PATIENCE_MS = 1000;

/** The work that this tab had open before it was reloaded, or null. */
export function tabWork(): string | null {
	try {
		return sessionStorage.getItem(NAME);
	} catch {
		return null;
	}
}

export function setTabWork(id: string | null): void {
	try {
		if (id) sessionStorage.setItem(NAME, id);
		else sessionStorage.removeItem(NAME);
	} catch {
		// Storage is disabled: nothing is stored to return to, either.
	}
}

let release: (() => void) | null = null;

/** Claim a work for this tab, in place of the one before. @returns false if another tab has it open */
export async function claim(id: string): Promise<boolean> {
	unclaim();
	// Without HTTPS there are no locks: then two tabs can open the same work.
	if (!('locks' in navigator)) return true;
	return new Promise((resolve) => {
		navigator.locks
			.request(lockOf(id), { signal: AbortSignal.timeout(PATIENCE_MS) }, () => {
				resolve(true);
				return new Promise<void>((free) => (release = free));
			})
			.catch(() => resolve(false));
	});
}

export function unclaim(): void {
	release?.();
	release = null;
}

/** Whether a work is open in another tab. */
export async function isClaimed(id: string): Promise<boolean> {
	if (!('locks' in navigator)) return false;
	const { held } = await navigator.locks.query();
	return held?.some(({ name }) => name === lockOf(id)) ?? false;
}

function lockOf(id: string): string {
	return `${NAME}-${id}`;
}
