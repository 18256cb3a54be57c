import assert from 'node:assert/strict';
import { test } from 'node:test';
import { neighbours } from './channel-interpolation.js';

function allNeighbours(from: number, to: number): [number, number][] {
  return Array.from({ length: to }, (_, i) => neighbours(i, { from, to }));
}

test('channels become fewer by means over neighbours', () => {
  assert.deepEqual(allNeighbours(4, 2), [
    [0, 2],
    [2, 4],
  ]);
});

test('channels become more by means over those that they lie between', () => {
  assert.deepEqual(allNeighbours(2, 3), [
    [0, 1],
    [0, 2],
    [1, 2],
  ]);
});

test('every channel counts, and none that there is not, whatever the numbers', () => {
  for (let from = 1; from < 12; from++)
    for (let to = 1; to < 12; to++) {
      const seen = allNeighbours(from, to);
      assert.ok(
        seen.every(([begin, end]) => begin >= 0 && begin < end && end <= from),
        `${from} to ${to}`,
      );
      const counted = new Set(seen.flatMap(([begin, end]) => Array.from({ length: end - begin }, (_, i) => begin + i)));
      assert.equal(counted.size, from, `${from} to ${to}`);
    }
});
