import { describe, expect, test } from 'vitest';
import { ApiError, errorFrom } from '../../src/lib/api/errors';
import { inPlainWords } from '../../src/lib/api/plain-words';
import { UserError } from '../../src/lib/errors';

describe('an error is read from', () => {
	test('the body of the contract', () => {
		const body = '{"code": 400, "type": "InvalidImageException", "message": "The image is empty (0 bytes)."}';
		expect(errorFrom(400, body, null)).toMatchObject({ status: 400, message: 'The image is empty (0 bytes).' });
	});

	test.each(['', '<html>502 Bad Gateway</html>', 'null', '[]', '{"message": 7}'])(
		'whatever else came: %s',
		(body) => {
			expect(errorFrom(502, body, null)).toMatchObject({ status: 502, message: '' });
		}
	);

	test.each([
		['7', 7],
		['0', 0],
		['-3', 0],
		[null, null],
		['Wed, 21 Oct 2026 07:28:00 GMT', null]
	])('Retry-After %s', (header, seconds) => {
		expect(errorFrom(503, '', header).retryAfter).toBe(seconds);
	});
});

describe('in plain words', () => {
	test.each([
		[0, 'retry', 'The server cannot be reached'],
		[401, 'key', 'This server asks for a key'],
		[403, 'key', 'This server asks for a key'],
		[413, 'other', 'This photo is too large for the server'],
		[400, 'other', 'The server cannot use this photo'],
		[415, 'other', 'The server cannot use this photo'],
		[500, 'retry', 'The server failed'],
		[502, 'retry', 'The server failed'],
		[507, 'retry', 'The server failed']
	])('%i', (status, remedy, title) => {
		expect(inPlainWords(new ApiError(status, 'what the server says'))).toMatchObject({ remedy, title });
	});

	test('what the server says about a photo is passed on', () => {
		expect(inPlainWords(new ApiError(400, 'The mask is empty.')).text).toBe('The mask is empty.');
		expect(inPlainWords(new ApiError(413, 'At most 64.')).text).toMatch(/^At most 64\. Make the photo smaller/);
	});

	test("an empty 413, as TorchServe's front end sends it, still says what to do", () => {
		expect(inPlainWords(errorFrom(413, '', null)).text).toMatch(/^Make the photo smaller/);
	});

	test('a sentence made for people is shown as it is', () => {
		expect(inPlainWords(new UserError('Choose another one.')).title).toBe('Choose another one.');
	});

	test('anything else is a failure that can be tried again', () => {
		expect(inPlainWords(new TypeError('x is undefined'))).toMatchObject({ remedy: 'retry' });
		expect(JSON.stringify(inPlainWords(new TypeError('x is undefined')))).not.toContain('undefined');
	});
});
