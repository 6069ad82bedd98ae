import { sveltekit } from '@sveltejs/kit/vite';
import { defineConfig } from 'vitest/config';

export default defineConfig({
	plugins: [sveltekit()],
	// In development, the API is a server started separately with `make serve`.
	server: { proxy: { '/predictions': 'http://127.0.0.1:8080', '/v2': 'http://127.0.0.1:8080' } },
	// Generous, for busy machines: these tests do not measure speed.
	test: { include: ['tests/unit/**/*.test.ts'], testTimeout: 120_000 }
});
