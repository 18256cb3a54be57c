import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Graph, type Model, type Node, scalarFloat } from '../ir/index.js';
import { type TinyNode, tinyModel } from '../testing/tiny-model.js';
import { shortenNames } from './short-names.js';

const model = (nodes: readonly TinyNode[], constants = {}): Model =>
  tinyModel({ inputs: [['x', 'float32', [2]]], outputs: [['y', 'float32', null]], nodes, constants });
const relu = (name: string, from: string, to: string): TinyNode => ({
  op: 'Relu',
  name,
  inputs: [from],
  outputs: [to],
});
const shown = ({ graph }: Model) => graph.nodes.map(({ name, inputs, outputs }: Node) => [name, inputs, outputs]);

test('what the original does not have gets short names, and its nodes none', () => {
  const original = model([relu('first', 'x', 'middle'), relu('second', 'middle', 'y')]).graph;
  const add: TinyNode = { op: 'Add', name: 'helper', inputs: ['x', 'layer.weight_scaled'], outputs: ['layer.sum'] };
  const written = model([add, relu('first', 'layer.sum', 'middle'), relu('second', 'middle', 'y')], {
    'layer.weight_scaled': scalarFloat(1),
  });
  shortenNames(written, original);
  assert.deepEqual(shown(written), [
    ['', ['x', '_0'], ['_1']],
    ['first', ['_1'], ['middle']],
    ['second', ['middle'], ['y']],
  ]);
  assert.deepEqual([...written.graph.initializers.keys()], ['_0']);
});

test('names that are taken, left-out inputs and what subgraphs use stay', () => {
  const original = model([relu('first', 'x', '_0'), relu('second', '_0', 'y')]).graph;
  const clip: TinyNode = { op: 'Clip', name: 'clip', inputs: ['x', '', 'long.bound'], outputs: ['long.clipped'] };
  const written = model([clip, relu('first', 'long.clipped', '_0'), relu('second', '_0', 'y')], {
    'long.bound': scalarFloat(1),
    'long.seen': scalarFloat(1),
  });
  const inner: Graph = model([{ op: 'Add', inputs: ['long.seen', 'x'], outputs: ['_1'] }]).graph;
  inner.inputs = [];
  inner.outputs = [{ name: '_1', dtype: 'float32', shape: null }];
  written.graph.nodes[2]!.attributes.set('body', { kind: 'graph', value: inner });
  shortenNames(written, original);
  assert.deepEqual(shown(written).slice(0, 2), [
    ['', ['x', '', '_2'], ['_3']],
    ['first', ['_3'], ['_0']],
  ]);
  assert.deepEqual([...written.graph.initializers.keys()], ['_2', 'long.seen']);
});
