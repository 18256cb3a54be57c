import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tinyModel } from '../testing/tiny-model.js';
import { runShapes } from './run-shapes.js';
import type { StoreSummary } from './sample-store.js';

const network = (shape: readonly (number | string)[], nodes = 1) =>
  tinyModel({
    inputs: [['x', 'float32', shape]],
    outputs: [['y0', 'float32', null]],
    nodes: Array.from({ length: nodes }, (_, i) => ({
      op: 'Relu',
      inputs: [i === 0 ? 'x' : `y${nodes - i}`],
      outputs: [`y${nodes - 1 - i}`],
    })),
  });

const store = (...shape: number[]): StoreSummary => ({
  path: '',
  records: 100,
  inputs: [{ name: 'x', dtype: 'float32', shape, byteLength: 0 }],
});

test('a run takes a whole part of a batch, and every symbol has the size that samples give it', () => {
  const { records, symbols } = runShapes(network(['N', 'T']), store(1, 7), 12);
  assert.equal(records, 12);
  assert.deepEqual(
    [...symbols],
    [
      ['N', 12],
      ['T', 7],
    ],
  );
});

test('a network of a fixed batch takes as many records as that', () => {
  assert.equal(runShapes(network([1, 7]), store(1, 7), 12).records, 1);
  assert.equal(runShapes(network([4, 7]), store(1, 7), 12).records, 4);
  assert.throws(() => runShapes(network([4, 7]), store(1, 7), 6), { code: 'DATASET_SHAPE_MISMATCH' });
});

test('large activations go in smaller runs, one record at least', () => {
  // 12 · 10 · 2^20 bytes a record: 4 of them in half a gigabyte.
  assert.equal(runShapes(network(['N', 2 ** 20], 10), store(1, 2 ** 20), 12).records, 4);
  assert.equal(runShapes(network(['N', 2 ** 28], 1), store(1, 2 ** 28), 12).records, 1);
});

test('what is normalized together stays together as far as memory allows, and a few records always', () => {
  const large = network(['N', 2 ** 20], 10);
  assert.equal(runShapes(large, store(1, 2 ** 20), 64, true).records, 32);
  assert.equal(runShapes(network(['N', 2 ** 28], 1), store(1, 2 ** 28), 12, true).records, 6);
  assert.equal(runShapes(network([1, 7]), store(1, 7), 12, true).records, 1);
});
