import { once } from 'node:events';
import { createServer, request, type IncomingMessage, type Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Stands between the browser and a server, passes everything on untouched, and keeps what was predicted from. */
export class Recorder {
	readonly forms: FormData[] = [];
	readonly #server: HttpServer;

	private constructor(server: HttpServer) {
		this.#server = server;
	}

	static async infrontOf(url: string): Promise<Recorder> {
		const recorder: Recorder = new Recorder(
			createServer(async (incoming, answer) => {
				const body = await whole(incoming);
				if (incoming.method === 'POST') recorder.forms.push(await parsed(incoming, body));
				const { method, headers } = incoming;
				const onward = request(new URL(incoming.url ?? '/', url), { method, headers }, (response) => {
					answer.writeHead(response.statusCode ?? 502, response.headers);
					response.pipe(answer);
				});
				onward.on('error', () => answer.destroy());
				onward.end(body);
			}).listen(0, '127.0.0.1')
		);
		await once(recorder.#server, 'listening');
		return recorder;
	}

	get url(): string {
		return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
	}

	/** A file of the latest request. */
	async file(name: 'image' | 'mask'): Promise<Buffer> {
		const file = this.forms.at(-1)?.get(name);
		if (!(file instanceof Blob)) throw new Error(`no file ${name} was sent`);
		return Buffer.from(await file.arrayBuffer());
	}

	async stop(): Promise<void> {
		this.#server.closeAllConnections();
		this.#server.close();
		await once(this.#server, 'close');
	}
}

async function whole(incoming: IncomingMessage): Promise<Buffer<ArrayBuffer>> {
	const parts: Buffer[] = [];
	for await (const part of incoming) parts.push(part as Buffer);
	return Buffer.concat(parts);
}

function parsed(incoming: IncomingMessage, body: Buffer<ArrayBuffer>): Promise<FormData> {
	return new Response(body, { headers: { 'Content-Type': incoming.headers['content-type'] ?? '' } }).formData();
}
