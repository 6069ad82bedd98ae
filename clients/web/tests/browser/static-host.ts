import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server as HttpServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';
import { forward, readBody } from './proxy';

const TYPES: Record<string, string> = {
	'.html': 'text/html; charset=utf-8',
	'.js': 'text/javascript',
	'.css': 'text/css',
	'.png': 'image/png',
	'.webmanifest': 'application/manifest+json',
	'.webp': 'image/webp'
};

/** A web host that serves the build from a folder with a strict CSP, and can forward other requests to a server. */
export class StaticHost {
	private constructor(
		readonly url: string,
		readonly server: HttpServer
	) {}

	/** @param engine the URL of the server to forward other requests to */
	static async of(build: string, prefix: string, engine?: string): Promise<StaticHost> {
		const serve = async (incoming: IncomingMessage, answer: ServerResponse) => {
			const path = (incoming.url ?? '').startsWith(prefix) ? incoming.url!.slice(prefix.length) : null;
			const name = path === '' ? 'index.html' : path;
			if (name && (['index.html', 'service-worker.js'].includes(name) || name.startsWith('_app/'))) {
				const content = await readFile(join(build, name)).catch(() => null);
				answer.writeHead(content ? 200 : 404, {
					'Content-Type': TYPES[extname(name)] ?? 'application/octet-stream',
					'Content-Security-Policy':
						"script-src 'self' 'wasm-unsafe-eval'; object-src 'none'; base-uri 'none'"
				});
				answer.end(content);
			} else if (engine && path !== null) {
				forward(incoming, await readBody(incoming), new URL(path, `${engine}/`), answer);
			} else {
				answer.writeHead(404).end();
			}
		};
		const server = createServer((incoming, answer) => void serve(incoming, answer)).listen(0, '127.0.0.1');
		await once(server, 'listening');
		return new StaticHost(`http://127.0.0.1:${(server.address() as AddressInfo).port}${prefix}`, server);
	}

	async stop(): Promise<void> {
		this.server.closeAllConnections();
		this.server.close();
		await once(this.server, 'close');
	}
}
