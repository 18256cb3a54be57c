import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toTritforgeError } from './errors.js';

const codeOf = (code: string): string => toTritforgeError(Object.assign(new Error(code), { code }), 'req-1').code;

test('a disk that is full, a quota that is used up and a limit on files are all no space', () => {
  assert.deepEqual(['ENOSPC', 'EDQUOT', 'EFBIG'].map(codeOf), ['STORAGE_FULL', 'STORAGE_FULL', 'STORAGE_FULL']);
});

test('what nobody knows is our failure', () => {
  assert.equal(codeOf('EIO'), 'INTERNAL');
});
