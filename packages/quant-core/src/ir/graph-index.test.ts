import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tinyModel } from '../testing/tiny-model.js';
import { tensorValue } from './attribute-access.js';
import { capturedValues } from './captured-values.js';
import { GraphIndex } from './graph-index.js';
import { NameAllocator, uniqueName } from './names.js';
import { scalarFloat } from './tensor-builders.js';
import { topologicalOrder } from './topological-order.js';
import { walkGraphs } from './walk-graphs.js';

const inner = tinyModel({
  inputs: [['i', 'float32', []]],
  outputs: [['sum', 'float32', []]],
  nodes: [{ op: 'Add', name: 'inner', inputs: ['i', 'a'], outputs: ['sum'] }],
});
const model = tinyModel({
  inputs: [['x', 'float32', []]],
  outputs: [['y', 'float32', []]],
  nodes: [
    { op: 'Constant', inputs: [], outputs: ['c'], attributes: { value: tensorValue(scalarFloat(2)) } },
    { op: 'Identity', inputs: ['c'], outputs: ['d'] },
    { op: 'Mul', name: 'mul', inputs: ['x', 'd'], outputs: ['a'] },
    { op: 'Add', name: 'twice', inputs: ['a', 'a'], outputs: ['b'] },
    {
      op: 'Loop',
      name: 'loop',
      inputs: ['', '', 'b'],
      outputs: ['y'],
      attributes: { body: { kind: 'graph', value: inner.graph } },
    },
  ],
  constants: { w: scalarFloat(1) },
});
const index = new GraphIndex(model.graph);

test('consumers are listed once each, captures of subgraphs included', () => {
  assert.deepEqual(
    index.consumersOf('a').map((node) => node.name),
    ['twice', 'loop'],
  );
  assert.deepEqual(index.consumersOf('nothing'), []);
  assert.equal(index.producerOf('a')?.name, 'mul');
  assert.equal(index.producerOf('x'), undefined);
  assert.deepEqual([...capturedValues(inner.graph)], ['a']);
});

test('a sole consumer is the only one and the value is no output', () => {
  assert.equal(index.soleConsumerOf('b')?.name, 'loop');
  assert.equal(index.soleConsumerOf('a'), undefined);
  assert.equal(index.soleConsumerOf('y'), undefined);
  assert.ok(index.isOutput('y'));
});

test('a constant is found behind Constant and Identity nodes', () => {
  assert.equal(index.constantOf('d')?.name, 'c');
  assert.equal(index.constantOf('w')?.name, 'w');
  assert.equal(index.constantOf('a'), undefined);
});

test('constants behind a circle of Identity nodes are not looked for for ever', () => {
  const circle = tinyModel({
    inputs: [],
    outputs: [],
    nodes: [
      { op: 'Identity', inputs: ['p'], outputs: ['q'] },
      { op: 'Identity', inputs: ['q'], outputs: ['p'] },
    ],
  });
  assert.equal(new GraphIndex(circle.graph).constantOf('p'), undefined);
});

test('the order keeps nodes that are in order and moves producers ahead of users', () => {
  const { nodes } = model.graph;
  assert.deepEqual(topologicalOrder(nodes), nodes);
  const moved = topologicalOrder([nodes[4]!, nodes[3]!, nodes[2]!, nodes[0]!, nodes[1]!]).map((node) => node.opType);
  assert.deepEqual(moved, ['Constant', 'Identity', 'Mul', 'Add', 'Loop']);
});

test('a cycle is named', () => {
  const nodes = tinyModel({
    inputs: [],
    outputs: [],
    nodes: [
      { op: 'Relu', name: 'first', inputs: ['b'], outputs: ['a'] },
      { op: 'Relu', name: 'second', inputs: ['a'], outputs: ['b'] },
    ],
  }).graph.nodes;
  assert.throws(() => topologicalOrder(nodes), { code: 'MODEL_CYCLIC', message: /first/ });
});

test('a walk visits the graph, its subgraphs and the functions', () => {
  const visited: string[][] = [];
  const functions = [
    { ...inner.graph, domain: 'd', overload: '', inputs: [], outputs: [], attributes: [], opsetImports: new Map() },
  ];
  walkGraphs({ ...model, functions }, ({ graph, owner, parent }) => {
    visited.push([graph?.name ?? 'function', owner?.name ?? '', parent?.graph?.name ?? '']);
  });
  assert.deepEqual(visited, [
    ['tiny', '', ''],
    ['tiny', 'loop', 'tiny'],
    ['function', '', ''],
  ]);
});

test('new names are free in every graph of the model', () => {
  const names = new NameAllocator(model);
  assert.deepEqual(
    [names.value('a'), names.value('sum'), names.value('w'), names.value('new')],
    ['a_1', 'sum_1', 'w_1', 'new'],
  );
  assert.deepEqual([names.value('a'), names.node('inner'), names.node('a')], ['a_2', 'inner_1', 'a']);
  assert.equal(uniqueName(new Set(['v', 'v_1']), 'v'), 'v_2');
});
