import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Recipe, resolveRecipe } from '@tritforge/contracts';
import { intsValue, intValue, type Model, scalarFloat, type Tensor, tensorFromInt64 } from '../ir/index.js';
import { findLayers } from '../layers/find-layers.js';
import { planLayers } from '../layers/plan-layers.js';
import { randomTensor } from '../testing/random-tensor.js';
import { type TinyNode, tinyModel } from '../testing/tiny-model.js';
import { settleActivationBits } from './activation-bits.js';
import { type ActivationPlan, planActivations } from './plan-activations.js';

const CONSTANTS: Record<string, Tensor> = {
  w: randomTensor([4, 4, 1, 1], 1),
  m: randomTensor([4, 4], 2),
  zero: scalarFloat(0),
  six: scalarFloat(6),
  one: scalarFloat(1),
  pads: tensorFromInt64([8], [0, 0, 1, 1, 0, 0, 1, 1]),
  shape: tensorFromInt64([2], [0, -1]),
};
const conv = (from: string, to: string, name = to): TinyNode => ({
  op: 'Conv',
  name,
  inputs: [from, 'w'],
  outputs: [to],
});
const op = (opType: string, inputs: string[], to: string): TinyNode => ({
  op: opType,
  name: to,
  inputs,
  outputs: [to],
});

function model(nodes: readonly TinyNode[], outputs: readonly string[]): Model {
  return tinyModel({
    inputs: [['x', 'float32', [1, 4, 4, 4]]],
    outputs: outputs.map((name) => [name, 'float32', null] as const),
    nodes,
    constants: CONSTANTS,
  });
}

async function plan(
  nodes: readonly TinyNode[],
  outputs: readonly string[],
  recipe: Recipe = {},
): Promise<ActivationPlan> {
  const made = model(nodes, outputs);
  const resolved = resolveRecipe({ method: 'int8', ...recipe });
  return planActivations(made.graph, planLayers(findLayers(made).layers, resolved), resolved.activations.shortcuts);
}

const FOUR_BITS: Recipe = { activations: { bits: 4 } };
const maxCodes = (planned: ActivationPlan) => Object.fromEntries(planned.maxCodes);

const roles = (planned: ActivationPlan) =>
  Object.fromEntries([...planned.roles].map(([node, role]) => [node.name, role]));
const natural = (planned: ActivationPlan) =>
  [...planned.values.values()]
    .filter((value) => value.natural)
    .map(({ name }) => name)
    .sort();

test('a residual block works in integers throughout and its Relus are implied', async () => {
  const planned = await plan(
    [
      conv('x', 'c1'),
      op('Relu', ['c1'], 'r1'),
      conv('r1', 'c2'),
      op('Add', ['c2', 'r1'], 'a'),
      op('Relu', ['a'], 'r2'),
      conv('r2', 'y'),
    ],
    ['y'],
  );
  assert.deepEqual(roles(planned), {
    c1: 'layer',
    r1: 'implied',
    c2: 'layer',
    a: 'arithmetic',
    r2: 'implied',
    y: 'layer',
  });
  assert.deepEqual([...planned.values.keys()].sort(), ['c2', 'r1', 'r2', 'x', 'y']);
  assert.deepEqual([...planned.nonNegative].sort(), ['r1', 'r2']);
  assert.equal(planned.values.get('x')!.natural, false);
});

test('Clip is implied from zero upwards only, and only where nothing else sees the value before it', async () => {
  const clip = (low: string, high: string): TinyNode => ({
    op: 'Clip',
    name: 'k',
    inputs: ['c', low, high],
    outputs: ['k'],
  });
  assert.equal(roles(await plan([conv('x', 'c'), clip('zero', 'six'), conv('k', 'y')], ['y'])).k, 'implied');
  assert.equal(roles(await plan([conv('x', 'c'), clip('one', 'six'), conv('k', 'y')], ['y'])).k, undefined);
  assert.equal(roles(await plan([conv('x', 'c'), clip('zero', 'six'), conv('k', 'y')], ['y', 'c'])).k, undefined);
});

test('operators that move elements share the scale of their source', async () => {
  const pool: TinyNode = {
    op: 'MaxPool',
    name: 'p',
    inputs: ['r'],
    outputs: ['p'],
    attributes: { kernel_shape: intsValue([2, 2]) },
  };
  const pad: TinyNode = { op: 'Pad', name: 'q', inputs: ['p', 'pads'], outputs: ['q'] };
  const planned = await plan([conv('x', 'c'), op('Relu', ['c'], 'r'), pool, pad, conv('q', 'y')], ['y']);
  assert.deepEqual([roles(planned).p, roles(planned).q], ['passThrough', 'passThrough']);
  assert.equal(planned.values.get('q')!.rangeOf, 'r');
  assert.deepEqual([...planned.observed].sort(), ['r', 'x', 'y']);
});

test('padding with another number than zero is not moved in integers', async () => {
  const pad: TinyNode = { op: 'Pad', name: 'q', inputs: ['c', 'pads', 'one'], outputs: ['q'] };
  const planned = await plan([conv('x', 'c'), pad, conv('q', 'y')], ['y']);
  assert.equal(roles(planned).q, undefined);
  assert.equal(planned.values.get('q')!.natural, false);
});

test('a Concat of values that nothing else uses has one scale for all; otherwise each keeps its own', async () => {
  const concat: TinyNode = {
    op: 'Concat',
    name: 'k',
    inputs: ['r1', 'r2'],
    outputs: ['k'],
    attributes: { axis: intValue(1) },
  };
  const branches = [conv('x', 'c1'), op('Relu', ['c1'], 'r1'), conv('x', 'c2'), op('Relu', ['c2'], 'r2'), concat];
  const pool: TinyNode = { op: 'GlobalAveragePool', name: 'g', inputs: ['k'], outputs: ['g'] };
  const reshape: TinyNode = { op: 'Reshape', name: 'f', inputs: ['g', 'shape'], outputs: ['f'] };
  const end: TinyNode = { op: 'Gemm', name: 'y', inputs: ['f', 'wide'], outputs: ['y'] };
  CONSTANTS.wide = randomTensor([8, 4], 5);
  const alone = await plan([...branches, pool, reshape, end], ['y']);
  assert.equal(roles(alone).k, 'passThrough');
  assert.deepEqual(
    ['r1', 'r2'].map((name) => alone.values.get(name)!.rangeOf),
    ['k', 'k'],
  );
  const shared = await plan([...branches, pool, reshape, end, conv('r1', 'z')], ['y', 'z']);
  assert.equal(roles(shared).k, 'arithmetic');
  assert.equal(shared.values.get('r1')!.rangeOf, 'r1');
});

test('signed and unsigned branches do not share a scale', async () => {
  const concat: TinyNode = {
    op: 'Concat',
    name: 'k',
    inputs: ['r1', 'c2'],
    outputs: ['k'],
    attributes: { axis: intValue(1) },
  };
  const planned = await plan(
    [
      conv('x', 'c1'),
      op('Relu', ['c1'], 'r1'),
      conv('x', 'c2'),
      concat,
      { op: 'Conv', name: 'y', inputs: ['k', 'w'], outputs: ['y'] },
    ],
    ['y'],
  );
  assert.equal(planned.values.get('r1')!.rangeOf, 'r1');
});

test('of a transformer only the inputs of matrix products are quantized', async () => {
  const planned = await plan(
    [
      op('MatMul', ['x', 'm'], 'q'),
      op('Sigmoid', ['q'], 's'),
      op('Mul', ['q', 's'], 'silu'),
      op('MatMul', ['silu', 'm'], 'o'),
      op('Add', ['x', 'o'], 'res'),
      op('MatMul', ['res', 'm'], 'y'),
    ],
    ['y'],
  );
  assert.deepEqual(roles(planned), { q: 'layer', o: 'layer', y: 'layer' });
  assert.deepEqual([...planned.values.keys()].sort(), ['res', 'silu', 'x']);
  assert.deepEqual(natural(planned), []);
});

test('a chain of Gemms with Relus between them stays in integers and ends in floating point', async () => {
  const planned = await plan(
    [
      op('Gemm', ['x', 'm'], 'a'),
      op('Relu', ['a'], 'r'),
      op('Gemm', ['r', 'm'], 'b'),
      op('Relu', ['b'], 's'),
      op('Gemm', ['s', 'm'], 'y'),
    ],
    ['y'],
  );
  assert.deepEqual(roles(planned), { a: 'layer', r: 'implied', b: 'layer', s: 'implied', y: 'layer' });
  assert.deepEqual(natural(planned), ['r', 's']);
});

test('what follows the last layer stays in floating point', async () => {
  const planned = await plan(
    [conv('x', 'c'), { op: 'GlobalAveragePool', name: 'g', inputs: ['c'], outputs: ['g'] }, op('Sigmoid', ['g'], 'y')],
    ['y'],
  );
  assert.deepEqual(roles(planned), { c: 'layer' });
});

test('a value that a layer and a floating-point operator use is quantized for the layer only', async () => {
  const planned = await plan([op('Erf', ['x'], 'e'), conv('e', 'c'), op('Add', ['c', 'e'], 'y')], ['y']);
  assert.equal(planned.values.get('e')!.natural, false);
  assert.equal(roles(planned).y, undefined);
});

test('what only feeds layers of 4-bit inputs has 4 bits; ends of the network and addends keep 8', async () => {
  const planned = await plan(
    [
      conv('x', 'c1'),
      op('Relu', ['c1'], 'r1'),
      conv('r1', 'c2'),
      op('Relu', ['c2'], 'r2'),
      conv('r2', 'c3'),
      op('Add', ['c3', 'r1'], 'a'),
      op('Relu', ['a'], 'r3'),
      conv('r3', 'y'),
    ],
    ['y'],
    FOUR_BITS,
  );
  assert.deepEqual(maxCodes(planned), { x: 255, r1: 15, r2: 15, c3: 255, r3: 255, y: 255 });
});

test('values that share a scale have as many bits as the layers behind all of them let them', async () => {
  const pool: TinyNode = {
    op: 'MaxPool',
    name: 'p',
    inputs: ['r'],
    outputs: ['p'],
    attributes: { kernel_shape: intsValue([2, 2]) },
  };
  const nodes = [conv('x', 'c'), op('Relu', ['c'], 'r'), pool, conv('p', 'd'), conv('r', 'e'), conv('e', 'y')];
  assert.deepEqual(maxCodes(await plan(nodes, ['y', 'd'], FOUR_BITS)), { x: 255, r: 15, d: 255, e: 255, y: 255 });
  const layers = [{ match: { name: 'e' }, set: { activationBits: 8 as const } }];
  const mixed = await plan(nodes, ['y', 'd'], { ...FOUR_BITS, layers });
  assert.equal(mixed.maxCodes.get('r'), 255);
  const maxCodeOf = async (bits: 4 | 3 | 2) => {
    const rule = { match: { name: 'e' }, set: { activationBits: bits } };
    return (await plan(nodes, ['y', 'd'], { ...FOUR_BITS, activations: { bits: 2 }, layers: [rule] })).maxCodes.get(
      'r',
    );
  };
  assert.deepEqual([await maxCodeOf(2), await maxCodeOf(3), await maxCodeOf(4)], [3, 7, 15]);
});

test('a layer that shares its input with a layer of 8-bit inputs has 8 bits too, and the reason says so', async () => {
  const made = model([conv('x', 'c'), conv('x', 'd'), conv('c', 'e'), conv('e', 'y')], ['y', 'd']);
  const constants = made.graph.initializers;
  for (const node of made.graph.nodes) {
    constants.set(`${node.name}.w`, { ...constants.get('w')! });
    node.inputs[1] = `${node.name}.w`;
  }
  const recipe = { ...FOUR_BITS, firstLast: { bits: 2 as const }, weights: { groupSize: 4 as const } };
  const wanted = planLayers(findLayers(made).layers, resolveRecipe(recipe));
  const settled = settleActivationBits(wanted, await planActivations(made.graph, wanted, 'narrow'));
  assert.deepEqual(
    settled.map(({ requested, applied }) => [requested.activationBits, applied.activationBits]),
    [
      [8, 8],
      [4, 8],
      [4, 4],
      [8, 8],
    ],
  );
  assert.equal(settled[1]!.reason, '8-bit activations: c takes the same values with 8 bits');
  assert.equal(settled[2]!.reason, null);
  const layers = [
    { match: { name: 'c' }, set: { activationBits: 4 as const } },
    { match: { name: 'd' }, set: { activationBits: 2 as const } },
  ];
  const fewer = planLayers(findLayers(made).layers, resolveRecipe({ ...recipe, layers }));
  const [, second] = settleActivationBits(fewer, await planActivations(made.graph, fewer, 'narrow'));
  assert.equal(second!.applied.activationBits, 4);
  assert.equal(second!.reason, '4-bit activations: c takes the same values with 4 bits');
});

test('without quantized activations nothing is planned', async () => {
  const made = model([conv('x', 'y')], ['y']);
  const layers = planLayers(findLayers(made).layers, resolveRecipe({ activations: { bits: null } }));
  const planned = await planActivations(made.graph, layers, 'narrow');
  assert.deepEqual([planned.values.size, planned.roles.size, planned.observed.length], [0, 0, 0]);
});
