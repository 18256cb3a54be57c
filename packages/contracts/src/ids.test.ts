import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isId, newId, repeatableId } from './ids.js';

test('ids sort in the order in which they were made, also within a millisecond', () => {
  const ids = [1, 1, 1, 2, 2, 3].flatMap((ms) => Array.from({ length: 50 }, () => newId('job', ms)));
  assert.deepEqual(ids.toSorted(), ids);
  assert.equal(new Set(ids).size, ids.length);
  assert.ok(ids.every((id) => isId('job', id) && !isId('model', id)));
});

test('an id that is to be found again follows from its time and its words', () => {
  const id = repeatableId('upload', 5, 'words');
  assert.ok(isId('upload', id));
  assert.equal(repeatableId('upload', 5, 'words'), id);
  assert.notEqual(repeatableId('upload', 5, 'others'), id);
  assert.ok(repeatableId('upload', 6, 'words') > id);
});
