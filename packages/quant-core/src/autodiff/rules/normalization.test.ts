import assert from 'node:assert/strict';
import { test } from 'node:test';
import { floatValue, intValue, tensorFromFloats } from '../../ir/index.js';
import { type TinyNode, tinyModel } from '../../testing/tiny-model.js';
import { differentiate } from '../gradients.js';
import { checkGradient } from '../testing/check-gradient.js';

const vector = (...values: number[]) => tensorFromFloats([values.length], Float32Array.from(values));

/** Images, sequences, volumes and plain features of 3 channels. */
const THREE_CHANNELS = [
  [4, 3, 5, 3],
  [5, 3],
  [3, 3, 7],
  [2, 3, 2, 3, 3],
];
const SMALL_EPSILON = { epsilon: floatValue(0.01) };

test('BatchNormalization in training differentiates by x, scale and bias through the statistics of the batch', async (t) => {
  const constants = [vector(0.3, -0.2, 7), vector(0.5, 2, 4)];
  const attributes = { training_mode: intValue(1), momentum: floatValue(0.7) };
  for (const x of THREE_CHANNELS)
    await checkGradient(t, {
      node: { op: 'BatchNormalization', attributes },
      inputs: [x, [3], [3]],
      constants,
      outputs: 3,
    });
  const loose = { ...attributes, ...SMALL_EPSILON };
  await checkGradient(t, {
    node: { op: 'BatchNormalization', attributes: loose },
    inputs: [[4, 3, 5, 3], [3], [3]],
    constants,
    outputs: 3,
    opset: 14,
  });
});

test('BatchNormalization in training keeps its precision far from zero', async (t) => {
  const constants = [vector(0, 0, 0), vector(1, 1, 1)];
  const node = { op: 'BatchNormalization', attributes: { training_mode: intValue(1) } };
  await checkGradient(t, { node, inputs: [[6, 3, 5, 3], [3], [3]], constants, outputs: 3, range: [50, 52] });
});

test('BatchNormalization that is frozen differentiates by x, scale and bias', async (t) => {
  const constants = [vector(0.3, -0.2, 1), vector(0.5, 2, 4)];
  for (const x of THREE_CHANNELS)
    for (const opset of [13, 17])
      await checkGradient(t, { node: { op: 'BatchNormalization' }, inputs: [x, [3], [3]], constants, opset });
});

test('BatchNormalization that is frozen differentiates by given mean and variance', async (t) => {
  const inputs = [[4, 3, 5, 3], [3], [3], [3], [3]];
  for (const attributes of [{}, SMALL_EPSILON])
    await checkGradient(t, { node: { op: 'BatchNormalization', attributes }, inputs, range: [0.5, 2] });
});

test('LayerNormalization differentiates over the axes from any on, with and without bias', async (t) => {
  const x = [2, 3, 4, 5];
  for (const axis of [-1, 3, 2, -3, 0]) {
    const row = x.slice(axis);
    const node = { op: 'LayerNormalization', attributes: { axis: intValue(axis) } };
    await checkGradient(t, { node, inputs: [x, row, row] });
    await checkGradient(t, { node, inputs: [x, row] });
  }
  await checkGradient(t, { node: { op: 'LayerNormalization', attributes: SMALL_EPSILON }, inputs: [[7, 5], [5], [5]] });
});

test('LayerNormalization sums the gradients of scale and bias over what they are broadcast along', async (t) => {
  const node = { op: 'LayerNormalization', attributes: { axis: intValue(1) } };
  await checkGradient(t, {
    node,
    inputs: [
      [4, 3, 5],
      [3, 5],
      [1, 5],
    ],
    opset: 20,
  });
});

test('InstanceNormalization differentiates every channel of every image by its own statistics', async (t) => {
  for (const x of [
    [3, 3, 5, 3],
    [2, 3, 7],
    [2, 3, 2, 3, 3],
  ])
    await checkGradient(t, { node: { op: 'InstanceNormalization' }, inputs: [x, [3], [3]] });
  const node = { op: 'InstanceNormalization', attributes: SMALL_EPSILON };
  await checkGradient(t, { node, inputs: [[3, 3, 5, 3], [3], [3]] });
});

test('GroupNormalization differentiates with scale and bias per channel (opset 21), or per group before', async (t) => {
  for (const groups of [1, 2, 3, 6]) {
    const node = { op: 'GroupNormalization', attributes: { num_groups: intValue(groups), ...SMALL_EPSILON } };
    await checkGradient(t, { node, inputs: [[2, 6, 3, 5], [6], [6]], opset: 21 });
    await checkGradient(t, { node, inputs: [[2, 6, 5], [groups], [groups]], opset: 18 });
  }
});

for (const op of ['Softmax', 'LogSoftmax']) {
  test(`${op} differentiates along any axis`, async (t) => {
    for (const axis of [-1, 0, 1, 2, -3])
      await checkGradient(t, {
        node: { op, attributes: { axis: intValue(axis) } },
        inputs: [[3, 4, 5]],
        range: [-3, 3],
      });
    await checkGradient(t, { node: { op }, inputs: [[7]], opset: 13 });
  });
}

const BATCH_NORM: TinyNode = { op: 'BatchNormalization', inputs: ['x', 'g', 'b', 'm', 'v'], outputs: ['y'] };
const TRAINED: TinyNode = {
  ...BATCH_NORM,
  outputs: ['y', 'mean', 'variance'],
  attributes: { training_mode: intValue(1) },
};
const LAYER_NORM: TinyNode = { op: 'LayerNormalization', inputs: ['x', 'k', 'k'], outputs: ['y'] };

/** Operators that are added to differentiate Σ y, by type. */
async function backward(node: TinyNode, wrt: readonly string[], opset = 17, summed = 'y'): Promise<string[]> {
  const model = tinyModel({
    inputs: [['x', 'float32', [2, 3, 4]]],
    outputs: [['loss', 'float32', []]],
    nodes: [node, { op: 'ReduceSum', inputs: [summed], outputs: ['loss'], attributes: { keepdims: intValue(0) } }],
    constants: {
      g: vector(1, 2, 3),
      b: vector(1, 2, 3),
      m: vector(0, 1, 2),
      v: vector(1, 2, 3),
      k: vector(1, 1, 1, 1),
    },
    opset,
  });
  const { model: both } = await differentiate(model, { loss: 'loss', wrt });
  return both.graph.nodes.slice(2).map(({ opType }) => opType);
}

test('only the passes that wanted gradients need are added', async () => {
  const passes = async (node: TinyNode, wrt: readonly string[]) =>
    (await backward(node, wrt)).filter((op) => /Normalization|ReduceSum/.test(op));
  assert.deepEqual(await passes(BATCH_NORM, ['x']), ['BatchNormalization']);
  assert.deepEqual(await passes(BATCH_NORM, ['b']), ['ReduceSum']);
  assert.deepEqual(await passes(BATCH_NORM, ['g', 'b']), ['BatchNormalization', 'ReduceSum', 'ReduceSum']);
  assert.deepEqual(await passes(TRAINED, ['b']), ['ReduceSum']);
  assert.deepEqual(await passes(TRAINED, ['g']), ['ReduceSum', 'ReduceSum', 'ReduceSum']);
  assert.deepEqual(await passes(LAYER_NORM, ['x']), ['LayerNormalization', 'ReduceSum', 'ReduceSum']);
});

test('forms without a gradient are refused by name', async () => {
  const refuse = async (node: TinyNode, message: RegExp, opset?: number, summed?: string) =>
    assert.rejects(backward(node, ['x', 'b'], opset, summed), { code: 'MODEL_NOT_DIFFERENTIABLE', message });
  await refuse(TRAINED, /running statistics/, 17, 'mean');
  await refuse({ ...LAYER_NORM, outputs: ['y', 'mean'] }, /Mean or InvStdDev/, 17, 'mean');
  await refuse({ ...BATCH_NORM, outputs: ['y', 'mean', 'variance', 'm1', 'v1'] }, /since opset 14/, 13);
  await refuse({ op: 'InstanceNormalization', inputs: ['x', 'g', 'b'], outputs: ['y'] }, /new in opset 17/, 16);
  await refuse({ op: 'Softmax', inputs: ['x'], outputs: ['y'] }, /before opset 13/, 12);
});
