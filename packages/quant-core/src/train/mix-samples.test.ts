import assert from 'node:assert/strict';
import { test } from 'node:test';
import { floats } from '../testing/memory-dataset.js';
import { mixSamples } from './mix-samples.js';

const BATCH = floats([3, 1, 2], [0, 0, 1, 2, 4, 8]);

test('every sample is mixed with the one after it, the last with the first, all its values alike', () => {
  const { shape, data } = mixSamples(BATCH, 7);
  assert.deepEqual(shape, [3, 1, 2]);
  const pairs = [0, 1, 2].map((i) => [data[2 * i]!, data[2 * i + 1]!] as [number, number]);
  const shares = [1 - pairs[0]![0], (4 - pairs[1]![0]) / 3, pairs[2]![0] / 4];
  for (const share of shares) assert.ok(share >= 0 && share <= 1, `${share}`);
  assert.equal(new Set(shares.map((share) => share.toFixed(3))).size, 3);
  const expected = [2 * (1 - shares[0]!), 8 - 6 * shares[1]!, 8 * shares[2]!];
  pairs.forEach(([, second], i) => {
    assert.ok(Math.abs(second - expected[i]!) < 1e-5);
  });
});

test('the same seed gives the same mixtures, another one others', () => {
  assert.deepEqual(mixSamples(BATCH, 7), mixSamples(BATCH, 7));
  assert.notDeepEqual(mixSamples(BATCH, 7), mixSamples(BATCH, 8));
});
