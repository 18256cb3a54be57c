import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resolveRecipe } from '@tritforge/contracts';
import { findLayers } from '../layers/find-layers.js';
import { planLayers } from '../layers/plan-layers.js';
import { randomTensor } from '../testing/random-tensor.js';
import { type TinyNode, tinyModel } from '../testing/tiny-model.js';
import { layerSums } from './layer-sums.js';
import { orderOfTurns } from './turns.js';

const constants = {
  w: randomTensor([8, 8], 1),
  wide: randomTensor([16, 8], 2),
  bias: randomTensor([8], 3),
};

const product = (name: string, from: string, weight = 'w'): TinyNode => ({
  op: 'MatMul',
  name,
  inputs: [from, weight],
  outputs: [`${name}.y`],
});
const add = (name: string, a: string, b: string): TinyNode => ({
  op: 'Add',
  name,
  inputs: [a, b],
  outputs: [`${name}.y`],
});
const relu = (name: string, from: string): TinyNode => ({ op: 'Relu', name, inputs: [from], outputs: [`${name}.y`] });

/** Names of the layers in the order of their turns, and of the sums that they go into. */
function analyze(nodes: readonly TinyNode[], outputs: readonly string[]) {
  const model = tinyModel({
    inputs: [
      ['x', 'float32', ['n', 8]],
      ['x16', 'float32', ['n', 16]],
    ],
    outputs: outputs.map((name) => [name, 'float32', null] as const),
    nodes,
    constants,
  });
  const turns = orderOfTurns(model.graph, planLayers(findLayers(model).layers, resolveRecipe({})));
  const order = turns.map(({ layer }) => layer.node);
  const sums = [...layerSums(model.graph, order)].map(([node, sum]) => [
    node.name,
    sum.node.name,
    sum.node.inputs[sum.other],
  ]);
  return { order: order.map(({ name }) => name), sums };
}

test('a layer at the end of a residual branch is held against the sum', () => {
  const nodes = [product('stem', 'x'), relu('r', 'stem.y'), product('branch', 'r.y'), add('sum', 'stem.y', 'branch.y')];
  assert.deepEqual(analyze(nodes, ['sum.y']), { order: ['stem', 'branch'], sums: [['branch', 'sum', 'stem.y']] });
});

test('of two layers that are added the one with more inputs has the last word, wherever it stands', () => {
  const nodes = [product('large', 'x16', 'wide'), product('small', 'x'), add('sum', 'large.y', 'small.y')];
  assert.deepEqual(analyze(nodes, ['sum.y']), { order: ['small', 'large'], sums: [['large', 'sum', 'small.y']] });
  const turned = [nodes[1]!, nodes[0]!, nodes[2]!];
  assert.deepEqual(analyze(turned, ['sum.y']), { order: ['small', 'large'], sums: [['large', 'sum', 'small.y']] });
});

test('layers before the small summand come before it too', () => {
  const nodes = [
    product('large', 'x16', 'wide'),
    product('first', 'x'),
    product('small', 'first.y'),
    add('sum', 'large.y', 'small.y'),
  ];
  assert.deepEqual(analyze(nodes, ['sum.y']).order, ['first', 'small', 'large']);
});

test('a layer counts on what its turn finds, of equal layers on the earlier one', () => {
  const chain = [product('a', 'x'), relu('r', 'a.y'), product('b', 'r.y'), add('sum', 'b.y', 'r.y')];
  assert.deepEqual(analyze(chain, ['sum.y']).sums, [['b', 'sum', 'r.y']]);
  const equal = [product('a', 'x'), product('b', 'x'), add('sum', 'a.y', 'b.y')];
  assert.deepEqual(analyze(equal, ['sum.y']), { order: ['a', 'b'], sums: [['b', 'sum', 'a.y']] });
});

test('constants, the output itself, and outputs that others see are no sums', () => {
  assert.deepEqual(analyze([product('a', 'x'), add('sum', 'a.y', 'bias')], ['sum.y']).sums, []);
  assert.deepEqual(analyze([product('a', 'x'), add('sum', 'a.y', 'a.y')], ['sum.y']).sums, []);
  assert.deepEqual(analyze([product('a', 'x'), add('sum', 'a.y', 'x')], ['sum.y', 'a.y']).sums, []);
  assert.deepEqual(analyze([product('a', 'x'), add('sum', 'a.y', 'x')], ['sum.y']).sums, [['a', 'sum', 'x']]);
});
