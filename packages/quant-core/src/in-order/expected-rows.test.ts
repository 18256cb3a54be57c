import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Dimension } from '../ir/index.js';
import { findLayers } from '../layers/find-layers.js';
import { randomTensor } from '../testing/random-tensor.js';
import { tinyModel } from '../testing/tiny-model.js';
import { expectedRows } from './expected-rows.js';

/** Of a convolution of 3 × 3 without padding, that has 27 columns. */
function rowsOf(inputShape: readonly Dimension[], runs: number): number {
  const model = tinyModel({
    inputs: [['x', 'float32', inputShape]],
    outputs: [['y', 'float32', null]],
    nodes: [{ op: 'Conv', inputs: ['x', 'w'], outputs: ['y'] }],
    constants: { w: randomTensor([5, 3, 3, 3], 1) },
  });
  return expectedRows(model, runs)(findLayers(model).layers[0]!);
}

test('there are as many rows as windows in all runs, and not more than moments need', () => {
  assert.equal(rowsOf(['N', 3, 7, 6], 10), 10 * 5 * 4);
  assert.equal(rowsOf([2, 3, 7, 6], 10), 2 * 10 * 5 * 4);
  assert.equal(rowsOf(['N', 3, 100, 100], 10), 8192);
});

test('where shapes do not tell, moments get what they need', () => {
  assert.equal(rowsOf(['N', 3, 'height', 'width'], 1), 8192);
});
