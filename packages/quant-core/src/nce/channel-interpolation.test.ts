import assert from 'node:assert/strict';
import { test } from 'node:test';
import { interpolationMatrix } from './channel-interpolation.js';

test('channels become more or fewer by means over neighbours', () => {
  assert.deepEqual([...interpolationMatrix({ from: 4, to: 2 }, 2, 4)], [0.5, 0.5, 0, 0, 0, 0, 0.5, 0.5]);
  assert.deepEqual([...interpolationMatrix({ from: 2, to: 3 }, 3, 2)], [1, 0, 0.5, 0.5, 0, 1]);
});

test('as many channels stay as they are, and what is beyond them is zero', () => {
  assert.deepEqual([...interpolationMatrix({ from: 2, to: 2 }, 3, 3)], [1, 0, 0, 0, 1, 0, 0, 0, 0]);
});

test('every row is a mean, whatever the numbers', () => {
  for (let from = 1; from < 12; from++)
    for (let to = 1; to < 12; to++) {
      const matrix = interpolationMatrix({ from, to }, to, from);
      for (let i = 0; i < to; i++) {
        const sum = matrix.subarray(i * from, (i + 1) * from).reduce((a, b) => a + b, 0);
        assert.ok(Math.abs(sum - 1) < 1e-6, `${from} to ${to}`);
      }
    }
});
