import { describe, expect, test } from 'vitest';
import { ApiError, errorFrom } from '../../src/lib/api/errors';
import { bearer } from '../../src/lib/api/key';
import { describeError } from '../../src/lib/api/error-messages';
import { UserError } from '../../src/lib/errors';

describe('an error response is parsed from', () => {
	test("the contract's error body", () => {
		const body = '{"code": 400, "type": "InvalidImageException", "message": "The image is empty (0 bytes)."}';
		expect(errorFrom(400, body, null)).toMatchObject({ status: 400, message: 'The image is empty (0 bytes).' });
	});

	test.each(['', '<html>502 Bad Gateway</html>', 'null', '[]', '{"message": 7}'])('any other body: %s', (body) => {
		expect(errorFrom(502, body, null)).toMatchObject({ status: 502, message: '' });
	});

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

describe('an error message', () => {
	test.each([
		[0, 'retry', "Can't reach the server"],
		[401, 'key', 'This server needs an access key.'],
		[403, 'key', 'This server needs an access key.'],
		[408, 'retry', 'The upload took too long'],
		[413, 'none', 'This photo is too large for the server'],
		[400, 'none', "The server can't use this photo"],
		[415, 'none', "The server can't use this photo"],
		[500, 'retry', 'The server had a problem'],
		[502, 'retry', 'The server had a problem'],
		[507, 'retry', 'The server had a problem']
	])('%i', (status, action, title) => {
		expect(describeError(new ApiError(status, 'the reason'))).toMatchObject({ action, title });
	});

	test('says that a key was wrong', () => {
		expect(describeError(new ApiError(401), 'guess')).toMatchObject({
			action: 'key',
			title: "That access key isn't right."
		});
	});

	test("includes the server's reason", () => {
		expect(describeError(new ApiError(400, 'The mask is empty.')).text).toBe('The mask is empty.');
		expect(describeError(new ApiError(413, 'At most 64.')).text).toMatch(/^At most 64\. Make it smaller/);
	});

	test("an empty 413, as sent by TorchServe's front end, still says what to do", () => {
		expect(describeError(errorFrom(413, '', null)).text).toMatch(/^Make it smaller/);
	});

	test('a UserError is shown as it is', () => {
		expect(describeError(new UserError('Choose another one.')).title).toBe('Choose another one.');
	});

	test('any other error can be retried', () => {
		expect(describeError(new TypeError('x is undefined'))).toMatchObject({ action: 'retry' });
		expect(JSON.stringify(describeError(new TypeError('x is undefined')))).not.toContain('undefined');
	});
});

test.each([
	['open sesame', 'Bearer open sesame'],
	['é', 'Bearer \xc3\xa9'],
	['鍵', 'Bearer \xe9\x8d\xb5'],
	['line\r\nbreak', 'Bearer linebreak']
])('the key %j is sent as UTF-8 bytes', (key, header) => {
	expect(bearer(key)).toBe(header);
	expect(() => new Headers({ Authorization: bearer(key) })).not.toThrow();
});
