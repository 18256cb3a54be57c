import assert from 'node:assert/strict';
import { test } from 'node:test';
import { latenciesOf } from './latencies.js';

test('percentiles are values that were measured, in whatever order they came', () => {
  const samples = Array.from({ length: 200 }, (_, i) => ((i * 77) % 200) + 1);
  assert.deepEqual(latenciesOf(samples), { p50Ms: 100, p99Ms: 198, maxMs: 200 });
  assert.deepEqual(latenciesOf([3]), { p50Ms: 3, p99Ms: 3, maxMs: 3 });
});

test('nothing has no percentiles', () => {
  assert.equal(latenciesOf([]), null);
});
