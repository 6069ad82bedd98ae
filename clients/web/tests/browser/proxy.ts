import { request, type IncomingMessage, type ServerResponse } from 'node:http';

/** Forward a request to another server, and return its response. */
export function forward(incoming: IncomingMessage, body: Buffer, to: URL, answer: ServerResponse): void {
	const { method, headers } = incoming;
	// Use a new connection: a server may close a kept-alive one at the moment it is reused.
	const options = { method, headers: { ...headers, host: to.host, connection: 'close' }, agent: false };
	const onward = request(to, options, (response) => {
		answer.writeHead(response.statusCode ?? 502, response.headers);
		response.pipe(answer);
	});
	onward.on('error', () => answer.destroy());
	onward.end(body);
}

export async function readBody(incoming: IncomingMessage): Promise<Buffer<ArrayBuffer>> {
	const parts: Buffer[] = [];
	for await (const part of incoming) parts.push(part as Buffer);
	return Buffer.concat(parts);
}
