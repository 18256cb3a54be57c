import assert from 'node:assert/strict';
import { test } from 'node:test';
import { trendOf } from './trend.js';

test('points on a line have its slope without an error', () => {
  const { slope, slopeError } = trendOf([0, 1, 2, 3].map((x) => [x, 5 + 2 * x] as const));
  assert.ok(Math.abs(slope - 2) < 1e-12 && slopeError < 1e-12, `${slope} ± ${slopeError}`);
});

test('points that scatter have an error as in textbooks', () => {
  const { slope, slopeError } = trendOf([
    [1, 1],
    [2, 3],
    [3, 2],
    [4, 4],
  ]);
  assert.ok(Math.abs(slope - 0.8) < 1e-12);
  assert.ok(Math.abs(slopeError - Math.sqrt(1.8 / 2 / 5)) < 1e-12);
});
