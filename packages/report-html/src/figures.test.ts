import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatBytes, formatMetric, formatMs, formatNumber, formatShape, formatShare } from './figures.js';

test('figures have units and as many digits as mean something', () => {
  assert.deepEqual([999, 319_549, 5e6, 2.5e12].map(formatBytes), ['999 B', '319.5 kB', '5.0 MB', '2.5 TB']);
  assert.deepEqual([0.0123, 0.9999, 12.345, null, undefined].map(formatMs), ['12 µs', '1000 µs', '12.3 ms', '–', '–']);
  assert.deepEqual([0, 0.4567, 0.00001234, 1, null].map(formatShare), ['0.0 %', '45.7 %', '0.0012 %', '100.0 %', '–']);
  assert.deepEqual([formatMetric('top1', 91.5), formatMetric('perplexity', 3.47512)], ['91.50 %', '3.475']);
  assert.deepEqual([formatNumber(1.005, 1), formatNumber(null, 1)], ['1.0', '–']);
  assert.deepEqual([[1, 'N', null], [], null].map(formatShape), ['1 × N × ?', 'scalar', 'unknown shape']);
});
