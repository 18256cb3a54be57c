import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Judge } from './held-out.js';

const near = (actual: number, expected: number) => assert.ok(Math.abs(actual - expected) < 1e-6, `${actual}`);

/** −ln of the softmax. */
const surprise = (row: readonly number[], label: number) =>
  Math.log(row.reduce((sum, value) => sum + Math.exp(value), 0)) - row[label]!;

test('samples are judged over all batches, by loss and by the label that ranks first', () => {
  const judge = new Judge();
  judge.add(Float32Array.of(1, 2, 0, 3, -1, 2), [3], [1, 0]);
  judge.add(Float32Array.of(0, 0, 5), [3], [0]);
  const { loss, top1 } = judge.judgement();
  near(loss, (surprise([1, 2, 0], 1) + surprise([3, -1, 2], 0) + surprise([0, 0, 5], 0)) / 3);
  near(top1, 200 / 3);
});

test('large scores do not leave the range of numbers', () => {
  const judge = new Judge();
  judge.add(Float32Array.of(2000, 0), [2], [1]);
  near(judge.judgement().loss, 2000);
});

test('pixels are rows of their own, and labels below zero do not count', () => {
  const judge = new Judge();
  // One sample, two classes of 1 × 3 pixels.
  judge.add(Float32Array.of(1, 0, 2, 0, 1, 0), [2, 1, 3], [0, 1, -1]);
  const { loss, top1 } = judge.judgement();
  near(loss, surprise([1, 0], 0));
  assert.equal(top1, 100);
});
