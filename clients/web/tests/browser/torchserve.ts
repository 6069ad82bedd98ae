import { execFile, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { PYTHON, ROOT, Server } from './server';

export function hasJava(): boolean {
	return spawnSync('java', ['-version']).status === 0;
}

/** Archive the default model into a folder and start TorchServe with it. */
export async function startTorchserve(folder: string): Promise<Server> {
	await promisify(execFile)(PYTHON, ['-m', 'export', 'mar', 'models/inpaint.onnx', '-o', folder], { cwd: ROOT });
	const [port] = await freePorts(3); // predictions, management, metrics
	const archive = join(folder, 'inpaint.mar');
	const flags = ['--mar', archive, '--port', String(port), '--workers', '1', '--threads', '1'];
	return Server.launch(['-m', 'serving.torchserve.start', ...flags]);
}

/** Consecutive free ports of the loopback interface. */
async function freePorts(count: number): Promise<number[]> {
	for (;;) {
		const first = createServer().listen(0, '127.0.0.1');
		await once(first, 'listening');
		const { port } = first.address() as AddressInfo;
		const all = [first];
		try {
			for (let offset = 1; offset < count; offset++) {
				const next = createServer().listen(port + offset, '127.0.0.1');
				all.push(next);
				await once(next, 'listening');
			}
			return all.map((_, offset) => port + offset);
		} catch {
			continue; // one of them is in use
		} finally {
			for (const server of all) server.close();
		}
	}
}
