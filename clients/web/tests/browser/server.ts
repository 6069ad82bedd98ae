import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../../../..', import.meta.url));
export const PYTHON = process.env.PYTHON ?? join(ROOT, '.venv/bin/python');

/** A server process with the default model, on the loopback interface. */
export class Server {
	private constructor(
		readonly url: string,
		readonly process: ChildProcess
	) {}

	/** Start the ONNX Runtime server, on any free port. */
	static start(flags: string[] = [], settings: Record<string, string> = {}): Promise<Server> {
		return Server.launch(['-m', 'serving', '--port', '0', '--log-level', 'warning', ...flags], settings);
	}

	/** Run a Python command that prints its URL when it is ready. */
	static async launch(command: string[], settings: Record<string, string> = {}): Promise<Server> {
		// The developer's own settings must not affect the test.
		const environment = Object.entries(process.env).filter(([name]) => !/^(INPAINT|TS)_/.test(name));
		const started = spawn(PYTHON, command, {
			cwd: ROOT,
			env: { ...Object.fromEntries(environment), ...settings },
			stdio: ['ignore', 'pipe', 'inherit']
		});
		for await (const line of createInterface({ input: started.stdout })) {
			const url = / at (http:\/\/\S+) /.exec(line)?.[1];
			if (!url) continue;
			started.stdout.resume();
			return new Server(url, started);
		}
		throw new Error(`python ${command.join(' ')} did not start`);
	}

	async stop(): Promise<void> {
		if (this.process.exitCode !== null) return;
		const gone = once(this.process, 'exit');
		this.process.kill();
		await gone;
	}
}
