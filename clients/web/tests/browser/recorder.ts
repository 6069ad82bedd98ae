import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server as HttpServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { forward, readBody } from './proxy';

/** A proxy between the browser and a server that records the prediction requests. */
export class Recorder {
	readonly forms: FormData[] = [];
	readonly #server: HttpServer;
	#port = 0;
	#gate: Promise<void> = Promise.resolve();
	#open = () => {};

	private constructor(server: HttpServer) {
		this.#server = server;
	}

	/** Start on any free port. */
	static async inFrontOf(url: string): Promise<Recorder> {
		const handle = async (incoming: IncomingMessage, answer: ServerResponse) => {
			const body = await readBody(incoming);
			if (incoming.method === 'POST') {
				recorder.forms.push(await parsed(incoming, body));
				await recorder.#gate;
			}
			forward(incoming, body, new URL(incoming.url ?? '/', url), answer);
		};
		const recorder = new Recorder(createServer((incoming, answer) => void handle(incoming, answer)));
		await recorder.start();
		return recorder;
	}

	get url(): string {
		return `http://127.0.0.1:${this.#port}`;
	}

	/** Accept connections again, after `stop`. */
	async start(): Promise<void> {
		this.#server.listen(this.#port, '127.0.0.1');
		await once(this.#server, 'listening');
		this.#port = (this.#server.address() as AddressInfo).port;
	}

	/** Hold back the prediction requests that arrive from now on, until `resume`. */
	pause(): void {
		this.#gate = new Promise((open) => (this.#open = open));
	}

	resume(): void {
		this.#open();
	}

	/** A file of the last request. */
	async file(name: 'image' | 'mask'): Promise<Buffer> {
		const file = this.forms.at(-1)?.get(name);
		if (!(file instanceof Blob)) throw new Error(`no file ${name} was sent`);
		return Buffer.from(await file.arrayBuffer());
	}

	/** Refuse connections, like a server that is not running. */
	async stop(): Promise<void> {
		if (!this.#server.listening) return;
		this.#server.closeAllConnections();
		this.#server.close();
		await once(this.#server, 'close');
	}
}

function parsed(incoming: IncomingMessage, body: Buffer<ArrayBuffer>): Promise<FormData> {
	return new Response(body, { headers: { 'Content-Type': incoming.headers['content-type'] ?? '' } }).formData();
}
