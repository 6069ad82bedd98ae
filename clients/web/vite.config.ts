import { sveltekit } from '@sveltejs/kit/vite';
import { defaultClientConditions } from 'vite';
import { defineConfig } from 'vitest/config';
import { makeOnDeviceFiles } from './scripts/on-device.js';

export default defineConfig(async () => ({
	plugins: [sveltekit()],
	define: { ON_DEVICE_SIZES: JSON.stringify(await makeOnDeviceFiles()) },
	// ONNX Runtime Web without its WebAssembly, which scripts/on-device.js provides.
	resolve: { conditions: ['onnxruntime-web-use-extern-wasm', ...defaultClientConditions] },
	worker: { format: 'es' as const },
	server: {
		// In development, the API is a server started separately with `make serve`.
		proxy: Object.fromEntries(['/predictions', '/masks', '/v2'].map((path) => [path, 'http://127.0.0.1:8080'])),
		fs: { allow: ['.on-device'] }
	},
	// Generous, for busy machines: these tests do not measure speed.
	test: { include: ['tests/unit/**/*.test.ts'], testTimeout: 120_000 }
}));
