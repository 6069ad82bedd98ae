import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { generate, SCHEMA } from '../../scripts/api.js';

test("the client's types match the server's OpenAPI description", async () => {
	const hint = 'The API has changed: run `npm run api`, then `npm run check`.';
	expect(await readFile(SCHEMA, 'utf8'), hint).toBe(await generate());
});
