import assert from 'node:assert/strict';
import { test } from 'node:test';
import { floats } from '../testing/memory-dataset.js';
import { outputDistance, UNUSABLE } from './output-distance.js';

const LOGITS = [1, -2, 0.5, 300, 299, 0];
const OTHER = [0.5, -1, 0.7, 299, 300, 1];

function softmax(row: readonly number[]): number[] {
  const powers = row.map((value) => Math.exp(value - Math.max(...row)));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

function divergence(p: readonly number[], q: readonly number[]): number {
  return p.reduce((sum, value, c) => sum + (value === 0 ? 0 : value * Math.log(value / q[c]!)), 0);
}

test('the divergence of class probabilities is the mean over samples, of logits as of probabilities', () => {
  const rows = [LOGITS.slice(0, 3), LOGITS.slice(3)].map(softmax);
  const others = [OTHER.slice(0, 3), OTHER.slice(3)].map(softmax);
  const expected = (divergence(rows[0]!, others[0]!) + divergence(rows[1]!, others[1]!)) / 2;
  const ofLogits = outputDistance('kl');
  ofLogits.add(floats([2, 3], LOGITS), floats([2, 3], OTHER), 2);
  assert.ok(Math.abs(ofLogits.value() - expected) < 1e-6, `${ofLogits.value()} against ${expected}`);
  const ofProbabilities = outputDistance('kl');
  rows.forEach((row, i) => {
    ofProbabilities.add(floats([1, 3], row), floats([1, 3], others[i]!), 1);
  });
  assert.ok(Math.abs(ofProbabilities.value() - expected) < 1e-5);
});

test('the relative error is over the variance of the original', () => {
  const distance = outputDistance('relativeMse');
  distance.add(floats([1, 2], [1, 3]), floats([1, 2], [1, 3]), 1);
  assert.equal(distance.value(), 0);
  distance.add(floats([1, 2], [5, 7]), floats([1, 2], [4, 7]), 1);
  assert.equal(distance.value(), 1 / 20);
});

test('outputs that are not finite are unusable', () => {
  for (const measure of ['kl', 'relativeMse'] as const) {
    const distance = outputDistance(measure);
    distance.add(floats([1, 2], [1, 3]), floats([1, 2], [Number.NaN, 3]), 1);
    assert.equal(distance.value(), UNUSABLE);
  }
});
