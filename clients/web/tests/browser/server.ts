import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../../../..', import.meta.url));
export const PYTHON = process.env.PYTHON ?? join(ROOT, '.venv/bin/python');

/** The ONNX Runtime server with the default model, as a process of its own on a free port. */
export class Server {
	private constructor(
		readonly url: string,
		readonly process: ChildProcess
	) {}

	/** @param port 0 for any free one */
	static async start(flags: string[] = [], settings: Record<string, string> = {}, port = '0'): Promise<Server> {
		const environment = Object.entries(process.env).filter(([name]) => !name.startsWith('INPAINT_'));
		const started = spawn(PYTHON, ['-m', 'serving', '--port', port, '--log-level', 'warning', ...flags], {
			cwd: ROOT,
			env: { ...Object.fromEntries(environment), ...settings },
			stdio: ['ignore', 'pipe', 'inherit']
		});
		for await (const line of createInterface({ input: started.stdout })) {
			const url = / at (http:\/\/\S+) /.exec(line)?.[1];
			if (url) return new Server(url, started);
		}
		throw new Error('the server did not start');
	}

	async stop(): Promise<void> {
		if (this.process.exitCode !== null) return;
		const gone = once(this.process, 'exit');
		this.process.kill('SIGTERM');
		await gone;
	}
}
