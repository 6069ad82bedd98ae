// `npm run api`: generate src/lib/api/schema.d.ts from the server's OpenAPI description.
import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import openapiTS, { astToString } from 'openapi-typescript';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
export const SCHEMA = fileURLToPath(new URL('../src/lib/api/schema.d.ts', import.meta.url));

const DESCRIBE = `
import json
from serving.core.models import load_models, model_sources
from serving.http.app import create_app
from serving.http.settings import Settings
settings = Settings()
print(json.dumps(create_app(settings, *load_models(model_sources(settings.model))).openapi()))
`;

/** @returns {Promise<string>} the types as TypeScript */
export async function generate() {
	const python = process.env.PYTHON ?? join(ROOT, '.venv/bin/python');
	const description = execFileSync(python, ['-c', DESCRIBE], { cwd: ROOT, encoding: 'utf8' });
	const types = astToString(await openapiTS(description));
	return `// Made by \`npm run api\` from the server's OpenAPI description. Do not edit.\n\n${types}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await writeFile(SCHEMA, await generate());
