import { test as base, expect, type Page } from '@playwright/test';
import { Recorder } from './recorder';
import { Server } from './server';

interface Fixtures {
	/** What the browser may complain about in this test: an answer of 503 is one to Chromium's console. */
	allowedComplaints: RegExp[];
	/** Fails the test if the page says anything in the console, throws, or asks another host for anything. */
	calm: void;
	recorder: Recorder;
}

export const test = base.extend<Fixtures, { server: Server }>({
	server: [
		async ({}, use) => {
			const server = await Server.start();
			await use(server);
			await server.stop();
		},
		{ scope: 'worker', timeout: 180_000 }
	],
	recorder: async ({ server }, use) => {
		const recorder = await Recorder.infrontOf(server.url);
		await use(recorder);
		await recorder.stop();
	},
	allowedComplaints: [[], { option: true }],
	calm: [
		async ({ context, allowedComplaints }, use) => {
			const complaints: string[] = [];
			context.on('console', (message) => {
				if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
			});
			context.on('weberror', (error) => complaints.push(String(error.error())));
			context.on('request', (request) => {
				const { protocol, hostname } = new URL(request.url());
				if (protocol.startsWith('http') && hostname !== '127.0.0.1') complaints.push(request.url());
			});
			await use();
			expect(complaints.filter((text) => !allowedComplaints.some((allowed) => allowed.test(text)))).toEqual([]);
		},
		{ auto: true }
	]
});

export { expect, type Page };
