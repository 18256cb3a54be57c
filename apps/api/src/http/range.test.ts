import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRange } from './range.js';

test('a range of one part is read with both ends included and cut to the content', () => {
  assert.deepEqual(parseRange('bytes=0-0', 10), { start: 0, end: 0 });
  assert.deepEqual(parseRange('bytes=2-5', 10), { start: 2, end: 5 });
  assert.deepEqual(parseRange('bytes=2-', 10), { start: 2, end: 9 });
  assert.deepEqual(parseRange('bytes=2-99', 10), { start: 2, end: 9 });
});

test('a suffix range counts from the end', () => {
  assert.deepEqual(parseRange('bytes=-3', 10), { start: 7, end: 9 });
  assert.deepEqual(parseRange('bytes=-30', 10), { start: 0, end: 9 });
});

test('a range outside the content cannot be satisfied', () => {
  assert.equal(parseRange('bytes=10-', 10), 'unsatisfiable');
  assert.equal(parseRange('bytes=-0', 10), 'unsatisfiable');
  assert.equal(parseRange('bytes=99999999999999999999-', 10), 'unsatisfiable');
});

test('headers that a server may ignore mean the whole content', () => {
  for (const header of [undefined, '', 'bytes', 'bytes=-', 'bytes=5-2', 'bytes=0-1,3-4', 'items=0-1', 'bytes=a-b']) {
    assert.equal(parseRange(header, 10), null, String(header));
  }
});
