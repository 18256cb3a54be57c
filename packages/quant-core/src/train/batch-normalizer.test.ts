import assert from 'node:assert/strict';
import { test } from 'node:test';
import { samplesToFoldBy, statisticsBatches } from './batch-normalizer.js';

test('a training is folded by a quarter of what it has seen, within bounds', () => {
  assert.equal(samplesToFoldBy(128, 50_000), 1024);
  assert.equal(samplesToFoldBy(20_000, 50_000), 5000);
  assert.equal(samplesToFoldBy(50_000, 50_000), 8192);
  assert.equal(samplesToFoldBy(90_000, 10_000), 2500, 'samples that were seen again say nothing new');
});

test('statistics are measured by the same samples each time, and by more of them beside those', () => {
  const samples = Array.from({ length: 3000 }, (_, i) => 7 * i);
  const few = statisticsBatches(samples, 64, 5);
  assert.equal(few.flat().length, 1024);
  assert.ok(few.every((batch) => batch.length === 64));
  assert.deepEqual(statisticsBatches(samples, 64, 5), few);
  assert.notDeepEqual(statisticsBatches(samples, 64, 6), few);
  const more = statisticsBatches(samples, 64, 5, 2048).flat();
  assert.deepEqual(more.slice(0, 1024), few.flat());
  assert.equal(new Set(more).size, 2048);
});
