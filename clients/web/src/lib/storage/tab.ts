/** Which work is open in which tab. */

const NAME = 'inpaint-work';

/** Messages between tabs about a work: a tab asks whether it is open, and the tab that has it open answers. */
type Message = 'is it open?' | 'it is open';

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

/** The work that this tab has claimed, or is claiming. Aborted to give it up. */
let claimed: { readonly id: string; readonly stop: AbortController } | null = null;

/**
 * Claim a work for this tab, in place of the previous one.
 *
 * The lock of a page that was just reloaded is released some time after the new page has started, so a held lock does
 * not show that another tab has the work open. Such a tab answers; a page that is gone does not.
 *
 * @returns false if another tab has it open, or this tab has claimed another work meanwhile
 */
export async function claim(id: string): Promise<boolean> {
	if (claimed) unclaim(claimed.id);
	// Without HTTPS there are no locks: then two tabs can open the same work.
	if (!('locks' in navigator)) return true;
	const stop = new AbortController();
	const { signal } = stop;
	claimed = { id, stop };
	const channel = new BroadcastChannel(lockOf(id));
	const send = (message: Message) => channel.postMessage(message);
	signal.addEventListener('abort', () => channel.close());
	return new Promise((resolve) => {
		channel.onmessage = ({ data }: MessageEvent<Message>) => {
			if (data === 'it is open') stop.abort();
		};
		navigator.locks
			.request(lockOf(id), { signal }, () => {
				channel.onmessage = ({ data }: MessageEvent<Message>) => {
					if (data === 'is it open?') send('it is open');
				};
				send('it is open'); // to tabs that asked before
				resolve(true);
				return new Promise<void>((free) => signal.addEventListener('abort', () => free()));
			})
			.catch(() => resolve(false));
		send('is it open?');
	});
}

export function unclaim(id: string): void {
	if (claimed?.id !== id) return;
	claimed.stop.abort();
	claimed = null;
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
