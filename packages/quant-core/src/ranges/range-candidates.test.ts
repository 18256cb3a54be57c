import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Histogram } from '../calibrate/histogram.js';
import type { ValueRange } from '../calibrate/value-range.js';
import { gaussian, seededRandom } from '../testing/random.js';
import { leastDamage, rangeCandidates } from './range-candidates.js';

const trial = (scale: number, maxCode: 255 | 15 = 255): ValueRange => ({
  min: 0,
  max: 1,
  chosenMin: 0,
  chosenMax: 1,
  scale,
  zeroPoint: 0,
  maxCode,
});
const user = (signal: number, ...noises: number[]) => ({ node: null, signal, noises: Float64Array.from(noises) });

test('auto considers different ranges, a method by name one', () => {
  const histogram = new Histogram();
  const normal = gaussian(seededRandom(3));
  histogram.add(Float32Array.from({ length: 20000 }, () => Math.max(0, normal())));
  const auto = rangeCandidates(histogram, 'auto', { nonNegative: true, maxCode: 15 });
  const scales = auto.map(({ scale }) => scale);
  assert.equal(new Set(scales).size, scales.length);
  assert.ok(scales.length >= 3);
  for (const method of ['mse', 'percentile', 'entropy', 'minmax'] as const) {
    const [alone, ...others] = rangeCandidates(histogram, method, { nonNegative: true, maxCode: 15 });
    assert.equal(others.length, 0);
    assert.ok(scales.includes(alone!.scale), method);
  }
  const zeros = new Histogram();
  zeros.add([0, 0]);
  assert.equal(rangeCandidates(zeros, 'auto', { nonNegative: true, maxCode: 255 }).length, 1);
});

test('the trial with the least noise wins, summed relative to the signal of each user', () => {
  const trials = [trial(1), trial(2), trial(3)];
  assert.equal(leastDamage([user(10, 3, 2, 4)], trials, 255), trials[1]);
  assert.equal(leastDamage([user(1000, 30, 20, 10), user(1, 0.1, 0.2, 0.3)], trials, 255), trials[0]);
  assert.equal(leastDamage([user(10, 2, 2, 2)], trials, 255), trials[0], 'the first of equals');
});

test('trials of other bits, users without signal and results that are not finite do not count', () => {
  const trials = [trial(1), trial(2), trial(3, 15), trial(4, 15)];
  const users = [user(0, 9, 9, 9, 9), user(10, Number.NaN, 5, 4, Number.POSITIVE_INFINITY)];
  assert.equal(leastDamage(users, trials, 255), trials[1]);
  assert.equal(leastDamage(users, trials, 15), trials[2]);
  assert.equal(leastDamage([user(0, 1, 1, 1, 1)], trials, 15), trials[2]);
});
