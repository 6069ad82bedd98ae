import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { generate, SCHEMA } from '../../scripts/api.js';

test("the client's types are those of the server's OpenAPI description", async () => {
	const hint = 'The server has changed: run npm run api, and let npm run check say what that means here.';
	expect(await readFile(SCHEMA, 'utf8'), hint).toBe(await generate());
});
