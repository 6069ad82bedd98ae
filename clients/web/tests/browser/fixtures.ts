import { test as base, expect, type Page } from '@playwright/test';
import { Recorder } from './recorder';
import { Server } from './server';

interface Fixtures {
	/** Console messages to ignore in this test: Chromium logs error responses such as 503. */
	allowedMessages: RegExp[];
	/** Fails the test if the page logs a warning or an error, throws, or sends a request to another host. */
	noConsoleErrors: void;
	recorder: Recorder;
	/** Starts a server for this test alone. */
	startServer: (...flags: string[]) => Promise<Server>;
}

interface WorkerFixtures {
	server: Server;
	/** A server with the access key `KEY`. */
	lockedServer: Server;
}

/** An access key with non-ASCII characters. */
export const KEY = 'ключ 鍵 é';

async function serve(use: (server: Server) => Promise<void>, settings: Record<string, string> = {}): Promise<void> {
	const server = await Server.start([], settings);
	await use(server);
	await server.stop();
}

export const test = base.extend<Fixtures, WorkerFixtures>({
	server: [async ({}, use) => serve(use), { scope: 'worker', timeout: 180_000 }],
	lockedServer: [async ({}, use) => serve(use, { INPAINT_API_KEY: KEY }), { scope: 'worker', timeout: 180_000 }],
	recorder: async ({ server }, use) => {
		const recorder = await Recorder.inFrontOf(server.url);
		await use(recorder);
		await recorder.stop();
	},
	startServer: async ({}, use) => {
		const started: Server[] = [];
		await use(async (...flags) => {
			const server = await Server.start(flags);
			started.push(server);
			return server;
		});
		await Promise.all(started.map((server) => server.stop()));
	},
	allowedMessages: [[], { option: true }],
	noConsoleErrors: [
		async ({ context, allowedMessages }, use) => {
			const messages: string[] = [];
			context.on('console', (message) => {
				if (['error', 'warning'].includes(message.type())) messages.push(message.text());
			});
			context.on('weberror', (error) => messages.push(String(error.error())));
			context.on('request', (request) => {
				const { protocol, hostname } = new URL(request.url());
				if (protocol.startsWith('http') && hostname !== '127.0.0.1') messages.push(request.url());
			});
			await use();
			expect(messages.filter((text) => !allowedMessages.some((allowed) => allowed.test(text)))).toEqual([]);
		},
		{ auto: true }
	]
});

export { expect, type Page };
