import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findLayers } from '../layers/find-layers.js';
import { randomTensor } from '../testing/random-tensor.js';
import { type TinyNode, tinyModel } from '../testing/tiny-model.js';
import { layerSums } from './layer-sums.js';

const constants = { w: randomTensor([8, 8], 1), bias: randomTensor([8], 2) };

const product = (name: string, from: string): TinyNode => ({
  op: 'MatMul',
  name,
  inputs: [from, 'w'],
  outputs: [`${name}.y`],
});
const add = (a: string, b: string): TinyNode => ({ op: 'Add', name: 'sum', inputs: [a, b], outputs: ['sum.y'] });
const relu = (name: string, from: string): TinyNode => ({ op: 'Relu', name, inputs: [from], outputs: [`${name}.y`] });

/** Names of the layers that go into sums, and of the other summands. */
function summands(nodes: readonly TinyNode[], outputs: readonly string[] = ['sum.y']) {
  const model = tinyModel({
    inputs: [['x', 'float32', ['n', 8]]],
    outputs: outputs.map((name) => [name, 'float32', null] as const),
    nodes,
    constants,
  });
  const order = findLayers(model).layers.map(({ node }) => node);
  return [...layerSums(model.graph, order)].map(([{ name }, { node, other }]) => [name, node.inputs[other]]);
}

test('a layer at the end of a residual branch is held against the sum', () => {
  const branch = [product('stem', 'x'), relu('r', 'stem.y'), product('branch', 'r.y')];
  assert.deepEqual(summands([...branch, add('stem.y', 'branch.y')]), [['branch', 'stem.y']]);
  assert.deepEqual(summands([...branch, add('branch.y', 'stem.y')]), [['branch', 'stem.y']]);
  assert.deepEqual(summands([product('a', 'x'), add('a.y', 'x')]), [['a', 'x']]);
});

test('of two layers that are added the later one has the last word', () => {
  assert.deepEqual(summands([product('a', 'x'), product('b', 'x'), add('a.y', 'b.y')]), [['b', 'a.y']]);
});

test('constants, the output itself, and outputs that others see are no sums', () => {
  assert.deepEqual(summands([product('a', 'x'), add('a.y', 'bias')]), []);
  assert.deepEqual(summands([product('a', 'x'), add('a.y', 'a.y')]), []);
  assert.deepEqual(summands([product('a', 'x'), add('a.y', 'x')], ['sum.y', 'a.y']), []);
});
