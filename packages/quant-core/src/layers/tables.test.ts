import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Recipe, resolveRecipe } from '@tritforge/contracts';
import { intsValue, intValue, type Model, readFloats, tensorFromFloats, tensorFromInt64 } from '../ir/index.js';
import { randomTensor } from '../testing/random-tensor.js';
import { type TinyNode, tinyModel } from '../testing/tiny-model.js';
import { findLayers } from './find-layers.js';
import { planLayers } from './plan-layers.js';
import { keepInfiniteTables } from './tables.js';

/** Looks rows of a table up and goes on with them as `looked`; `features` come out of a product of their own. */
function network(rest: readonly TinyNode[], shape: readonly number[] = [64, 32], axis = 0): Model {
  return tinyModel({
    inputs: [
      ['ids', 'int64', ['N', 'T']],
      ['image', 'float32', ['N', 'T', 32]],
      ['mask', 'float32', ['N', 'T', 1]],
    ],
    outputs: [['y', 'float32', null]],
    nodes: [
      { op: 'MatMul', name: 'product', inputs: ['image', 'weight'], outputs: ['features'] },
      {
        op: 'Gather',
        name: 'lookup',
        inputs: ['table', 'ids'],
        outputs: ['looked'],
        attributes: { axis: intValue(axis) },
      },
      ...rest,
    ],
    constants: {
      table: randomTensor(shape, 1),
      weight: randomTensor([32, 32], 2),
      axes: tensorFromInt64([1], [1]),
      scale: randomTensor([1], 3),
    },
  });
}

const node = (op: string, inputs: string[], output = 'y'): TinyNode => ({ op, inputs, outputs: [output] });

/** `table` where the table is quantized, else the reason why not. */
function verdict(rest: readonly TinyNode[], shape?: readonly number[], axis?: number): string {
  const { layers, kept } = findLayers(network(rest, shape, axis));
  const found = layers.find(({ node: { name } }) => name === 'lookup');
  assert.equal(
    found !== undefined,
    kept.every(({ node: name }) => name !== 'lookup'),
  );
  return found === undefined ? kept.find(({ node: name }) => name === 'lookup')!.reason : found.isTable ? 'table' : '?';
}

test('a table whose rows become features is an embedding, scaled, masked and normalized as it may be', () => {
  assert.equal(verdict([node('Add', ['looked', 'features'])]), 'table');
  assert.equal(verdict([node('Mul', ['looked', 'scale'])]), 'table');
  assert.equal(verdict([node('Mul', ['looked', 'mask'])]), 'table');
  const normalized = [node('ReduceMean', ['looked'], 'mean'), node('Mul', ['looked', 'mean'])];
  assert.equal(verdict(normalized), 'table');
  const gated = [node('MatMul', ['looked', 'weight'], 'gate'), node('Mul', ['looked', 'gate'])];
  assert.equal(verdict(gated), 'table');
});

test('what turns other values, or biases an attention, is kept with the reason', () => {
  const heads = node('Unsqueeze', ['looked', 'axes'], 'of_heads');
  assert.equal(verdict([heads, node('Mul', ['features', 'of_heads'])]), 'what is looked up multiplies features');
  assert.match(verdict([node('Cos', ['looked'])]), /angles/);
  const turned = { ...node('Transpose', ['looked'], 'turned'), attributes: { perm: intsValue([0, 2, 1]) } };
  const biased = [turned, node('Add', ['features', 'turned'], 'scores'), node('Softmax', ['scores'])];
  assert.match(verdict(biased), /added to scores of Softmax/);
  const rotary: TinyNode = {
    op: 'RotaryEmbedding',
    domain: 'com.microsoft',
    inputs: ['features', 'ids', 'looked', 'looked'],
    outputs: ['y'],
  };
  assert.match(verdict([rotary]), /RotaryEmbedding .* beside its input/);
});

test('small, narrow and other tables are kept with the reason', () => {
  const plain = [node('Relu', ['looked'])];
  assert.match(verdict(plain, [8, 32]), /smaller than the operators/);
  assert.match(verdict(plain, [512, 8]), /rows of 8 elements/);
  assert.match(verdict(plain, [4, 16, 32]), /3 dimensions/);
  assert.match(verdict(plain, [64, 32], 1), /columns/);
});

test('a table that an operator reads in another way is kept, and so is what reads it so', () => {
  const { layers, kept } = findLayers(network([node('MatMul', ['looked', 'table'])], [32, 32]));
  assert.deepEqual(
    layers.map(({ node: { name } }) => name),
    ['product'],
  );
  assert.deepEqual(
    kept.map(({ reason }) => reason),
    ['the weight also feeds MatMul MatMul_2', 'the weight also feeds Gather lookup'],
  );
});

test('a table with an infinity is kept, and what reads it with it', async () => {
  const model = network([node('Relu', ['looked'])]);
  const table = model.graph.initializers.get('table')!;
  const finite = await keepInfiniteTables(findLayers(model));
  assert.equal(finite.layers.length, 2);
  const values = Float32Array.from(await readFloats(table));
  values[values.length - 1] = Number.NEGATIVE_INFINITY;
  model.graph.initializers.set('table', tensorFromFloats(table.shape, values));
  const { layers, kept } = await keepInfiniteTables(findLayers(model));
  assert.deepEqual(
    [layers.map(({ node: { name } }) => name), kept],
    [['product'], [{ node: 'lookup', op: 'Gather', reason: 'the table holds infinities' }]],
  );
});

test('embeddings have 8 bits by every method, unless a rule says otherwise, and none by the published one', () => {
  const plan = (recipe: Recipe) => {
    const { layers } = findLayers(network([node('MatMul', ['looked', 'weight'])]));
    return planLayers(layers, resolveRecipe(recipe)).map(({ applied, reason }) => [applied.bits, reason]);
  };
  const body = { firstLast: { bits: 2 as const } };
  assert.deepEqual(plan(body), [
    [2, null],
    [8, null],
    [2, null],
  ]);
  assert.deepEqual(
    plan({ method: 'int4', firstLast: { bits: 4 } }).map(([bits]) => bits),
    [4, 8, 4],
  );
  assert.deepEqual(
    plan({ method: 'int8' }).map(([bits]) => bits),
    [8, 8, 8],
  );
  const fewer = { layers: [{ match: { op: 'Gather' }, set: { bits: 4 as const } }] };
  assert.deepEqual(plan({ ...body, ...fewer })[1], [4, null]);
  assert.deepEqual(plan({ paper: true })[1], [null, 'the published method quantizes no tables']);
});
