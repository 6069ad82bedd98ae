import { sveltekit } from '@sveltejs/kit/vite';
import { defineConfig } from 'vitest/config';

export default defineConfig({
	plugins: [sveltekit()],
	// While developing, the API is a server that was started beside: make serve.
	server: { proxy: { '/predictions': 'http://127.0.0.1:8080', '/v2': 'http://127.0.0.1:8080' } },
	// Patience for a busy machine; nothing here is about speed.
	test: { include: ['tests/unit/**/*.test.ts'], testTimeout: 120_000 }
});
