import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import {
  type Attribute,
  intsValue,
  intValue,
  scalarFloat,
  stringValue,
  type Tensor,
  tensorFromBytes,
  tensorFromFloats,
  tensorFromInt64,
} from '../../ir/index.js';
import { runWhole } from '../../prefix/testing.js';
import { floats } from '../../testing/memory-dataset.js';
import { temporaryFolder } from '../../testing/temporary-folder.js';
import { type TinyNode, tinyModel } from '../../testing/tiny-model.js';
import { differentiate } from '../gradients.js';
import { checkGradient } from '../testing/check-gradient.js';

type Attributes = Readonly<Record<string, Attribute>>;
const ints = (...values: readonly number[]): Tensor => tensorFromInt64([values.length], values);
const bool = (value: boolean): Tensor => tensorFromBytes('bool', [], Uint8Array.of(value ? 1 : 0));

test('views give the gradient in the shape of their input', async (t) => {
  const x = [[2, 3, 5]];
  for (const shape of [ints(3, 10), ints(0, -1), ints(-1), ints(5, 0, 2)])
    await checkGradient(t, { node: { op: 'Reshape' }, inputs: x, constants: [shape] });
  for (const axis of [0, 2, -1, 3])
    await checkGradient(t, { node: { op: 'Flatten', attributes: { axis: intValue(axis) } }, inputs: x });
  await checkGradient(t, { node: { op: 'Flatten' }, inputs: x });
});

test('axes of 1 come and go, by attribute and by input', async (t) => {
  const attributes = { axes: intsValue([1, -1]) };
  const thin = [[2, 1, 3, 1]];
  await checkGradient(t, { node: { op: 'Squeeze', attributes }, inputs: thin, opset: 11 });
  await checkGradient(t, { node: { op: 'Squeeze' }, inputs: thin, constants: [ints(-3)] });
  await checkGradient(t, { node: { op: 'Squeeze' }, inputs: thin });
  await checkGradient(t, { node: { op: 'Squeeze' }, inputs: [[1, 1]] });
  await checkGradient(t, { node: { op: 'Unsqueeze', attributes }, inputs: [[2, 3]], opset: 11 });
  await checkGradient(t, { node: { op: 'Unsqueeze' }, inputs: [[2, 3]], constants: [ints(0, -2)] });
  await checkGradient(t, { node: { op: 'Unsqueeze' }, inputs: [[]], constants: [ints(0)] });
});

test('Transpose is undone', async (t) => {
  for (const perm of [undefined, [2, 0, 1], [0, 2, 1], [0, 1, 2]])
    await checkGradient(t, {
      node: { op: 'Transpose', attributes: perm === undefined ? {} : { perm: intsValue(perm) } },
      inputs: [[2, 3, 5]],
    });
});

test('what passes a value on passes its gradient on', async (t) => {
  await checkGradient(t, { node: { op: 'Identity' }, inputs: [[2, 3]] });
  for (const constants of [[], [scalarFloat(0.3)], [scalarFloat(0.3), bool(false)]])
    await checkGradient(t, { node: { op: 'Dropout' }, inputs: [[2, 3]], constants });
});

test('Dropout that drops is refused', async () => {
  const model = tinyModel({
    inputs: [['x', 'float32', []]],
    outputs: [['y', 'float32', null]],
    nodes: [{ op: 'Dropout', inputs: ['x', '', 'training'], outputs: ['y'] }],
    constants: { training: bool(true) },
  });
  await assert.rejects(differentiate(model, { loss: 'y', wrt: ['x'] }), {
    code: 'MODEL_NOT_DIFFERENTIABLE',
    message: /its training_mode is not false/,
  });
});

test('Expand and Tile sum over what they repeated', async (t) => {
  for (const shape of [ints(2, 3, 5), ints(4, 2, 3, 1), ints(1)])
    await checkGradient(t, { node: { op: 'Expand' }, inputs: [[2, 3, 1]], constants: [shape] });
  for (const repeats of [ints(1, 1, 1), ints(2, 1, 3), ints(1, 4, 1), ints(3, 2, 2)])
    await checkGradient(t, { node: { op: 'Tile' }, inputs: [[2, 3, 5]], constants: [repeats] });
});

test('blocks go to depth and back, in either order', async (t) => {
  const blocks = (mode?: string): Attributes => ({
    blocksize: intValue(3),
    ...(mode !== undefined && { mode: stringValue(mode) }),
  });
  for (const mode of [undefined, 'DCR', 'CRD'])
    await checkGradient(t, { node: { op: 'DepthToSpace', attributes: blocks(mode) }, inputs: [[2, 18, 2, 1]] });
  await checkGradient(t, { node: { op: 'SpaceToDepth', attributes: blocks() }, inputs: [[2, 2, 3, 6]] });
});

test('Concat hands out parts, Split puts parts together', async (t) => {
  const axis = (value: number): Attributes => ({ axis: intValue(value) });
  const parts = [
    [2, 3, 2],
    [2, 1, 2],
    [2, 4, 2],
  ];
  for (const at of [1, -2]) await checkGradient(t, { node: { op: 'Concat', attributes: axis(at) }, inputs: parts });
  await checkGradient(t, {
    node: { op: 'Concat', attributes: axis(0) },
    inputs: [[2, 3]],
    constants: [tensorFromFloats([1, 3], Float32Array.of(1, 2, 3))],
  });
  const x = [[3, 6, 2]];
  await checkGradient(t, { node: { op: 'Split', attributes: axis(1) }, inputs: x, outputs: 3 });
  await checkGradient(t, { node: { op: 'Split' }, inputs: x, constants: [ints(1, 2)], outputs: 2, opset: 13 });
  const attributes = { ...axis(-2), split: intsValue([1, 3, 2]) };
  await checkGradient(t, { node: { op: 'Split', attributes }, inputs: x, outputs: 3, opset: 11 });
  const uneven = { ...axis(1), num_outputs: intValue(4) };
  await checkGradient(t, { node: { op: 'Split', attributes: uneven }, inputs: [[2, 7]], outputs: 4, opset: 18 });
});

test('Slice leaves zeros between and around, for steps of either sign', async (t) => {
  const end = Number.MAX_SAFE_INTEGER;
  const cases: readonly (readonly Tensor[])[] = [
    [ints(1, 2), ints(2, 5)],
    [ints(-3), ints(end), ints(-1)],
    [ints(1), ints(-2), ints(1)],
    [ints(0, 1), ints(end, 6), ints(2, 1), ints(2, 3)],
    [ints(1), ints(7), ints(1), ints(2)],
    [ints(-1), ints(-end), ints(1), ints(-1)],
    [ints(5, 100), ints(0, -end), ints(1, 2), ints(-2, -3)],
    [ints(6, 1, 0), ints(3, 4, 1), ints(1, -1, 0), ints(-1, 2, 1)],
    [ints(4), ints(2), ints(1)],
    [ints(0, 0, 0), ints(end, end, end)],
  ];
  for (const constants of cases) await checkGradient(t, { node: { op: 'Slice' }, inputs: [[2, 7, 5]], constants });
});

test('constant Pad takes its pads away, and gives back zeros where they were negative', async (t) => {
  for (const pads of [
    ints(0, 1, 2, 0, 3, 0),
    ints(0, -1, 2, 0, 2, -2),
    ints(0, -1, 0, 0, -1, 0),
    ints(0, 0, 0, 0, 0, 0),
  ])
    await checkGradient(t, { node: { op: 'Pad' }, inputs: [[2, 4, 5]], constants: [pads, scalarFloat(0.7)] });
  const constants = [ints(1, 2, 0, -1), null, ints(-1, 1)];
  await checkGradient(t, { node: { op: 'Pad' }, inputs: [[2, 4, 5]], constants, opset: 18 });
  const attributes = { pads: intsValue([0, 1, 2, 0]), mode: stringValue('constant') };
  await checkGradient(t, { node: { op: 'Pad', attributes }, inputs: [[3, 4]], opset: 10 });
});

test('Pad that copies sums its copies', async (t) => {
  const cases: Readonly<Record<string, readonly (readonly number[])[]>> = {
    edge: [
      [0, 2, 1, 0, 1, 3],
      [0, 0, -1, 0, 9, 2],
      [2, 0, 0, 0, 0, 0],
    ],
    reflect: [
      [0, 2, 1, 0, 1, 4],
      [0, 3, 0, 0, 3, -2],
    ],
    wrap: [
      [0, 2, 1, 0, 1, 3],
      [1, 0, 5, 0, 4, 0],
    ],
  };
  for (const [mode, padsOfMode] of Object.entries(cases))
    for (const pads of padsOfMode) {
      const node = { op: 'Pad', attributes: { mode: stringValue(mode) } };
      await checkGradient(t, { node, inputs: [[2, 4, 5]], constants: [ints(...pads)], opset: 19 });
    }
});

interface Parts {
  readonly nodes: readonly TinyNode[];
  readonly constants?: Readonly<Record<string, Tensor>>;
  readonly wrt: readonly string[];
}

/** A model of x [3, 2] with its gradients, and the operators that compute them. */
async function differentiated({ nodes, constants = {}, wrt }: Parts) {
  const outputs = [['loss', 'float32', null]] as const;
  const model = tinyModel({ inputs: [['x', 'float32', ['N', 2]]], outputs, nodes, constants, opset: 18 });
  const result = await differentiate(model, { loss: 'loss', wrt, symbols: new Map([['N', 3]]) });
  const added = result.model.graph.nodes.slice(nodes.length).map(({ opType }) => opType);
  return { ...result, added };
}

/** Gradients where x is 1 … 6. */
async function gradientsOf(t: TestContext, parts: Parts): Promise<number[][]> {
  const { model, gradients } = await differentiated(parts);
  const names = parts.wrt.map((name) => gradients.get(name)!);
  const feeds = new Map([['x', floats([3, 2], [1, 2, 3, 4, 5, 6])]]);
  const [values] = await runWhole(model, names, [feeds], temporaryFolder(t));
  return names.map((name) => Array.from(values!.get(name)!.data as Float32Array));
}

const cast = (input: string, output: string, to: number): TinyNode => ({
  op: 'Cast',
  inputs: [input],
  outputs: [output],
  attributes: { to: intValue(to) },
});
const SUM: TinyNode = { op: 'ReduceSum', inputs: ['z'], outputs: ['loss'], attributes: { keepdims: intValue(0) } };
const [FLOAT32, INT64, FLOAT16, FLOAT64] = [1, 7, 10, 11];

test('Cast between float types takes the gradient back to the type of its input', async (t) => {
  const nodes = [
    cast('x', 'half', FLOAT16),
    cast('half', 'double', FLOAT64),
    cast('factor', 'wide', FLOAT64),
    { op: 'Mul', inputs: ['double', 'wide'], outputs: ['scaled'] },
    { op: 'CastLike', inputs: ['scaled', 'x'], outputs: ['y'] },
    { op: 'Mul', inputs: ['y', 'x'], outputs: ['z'] },
    SUM,
  ];
  const gradients = await gradientsOf(t, { nodes, constants: { factor: scalarFloat(3) }, wrt: ['x', 'factor'] });
  assert.deepEqual(gradients, [[6, 12, 18, 24, 30, 36], [1 + 4 + 9 + 16 + 25 + 36]]);
});

test('nothing flows through integers', async (t) => {
  const nodes = [
    cast('x', 'whole', INT64),
    { op: 'Add', inputs: ['whole', 'whole'], outputs: ['twice'] },
    cast('twice', 'y', FLOAT32),
    { op: 'Mul', inputs: ['y', 'x'], outputs: ['z'] },
    SUM,
  ];
  assert.deepEqual(await gradientsOf(t, { nodes, wrt: ['x'] }), [[2, 4, 6, 8, 10, 12]]);
  const { added } = await differentiated({ nodes, wrt: ['x'] });
  assert.ok(!added.includes('Cast') && !added.includes('Add'), `${added}`);
});

test('a constant that fills pads can be learned', async (t) => {
  const nodes = [{ op: 'Pad', inputs: ['x', 'pads', 'fill'], outputs: ['z'] }, SUM];
  const constants = { pads: ints(0, 2, -1, 1), fill: scalarFloat(0.5) };
  assert.deepEqual(await gradientsOf(t, { nodes, constants, wrt: ['fill', 'x'] }), [[6], [1, 1, 1, 1, 0, 0]]);
});

test('one part of Split may be all that is used, or several but not all', async (t) => {
  const split = { op: 'Split', inputs: ['x'], outputs: ['p', 'q', 'r'] };
  const one = [split, { op: 'Neg', inputs: ['q'], outputs: ['z'] }, SUM];
  assert.deepEqual(await gradientsOf(t, { nodes: one, wrt: ['x'] }), [[0, 0, -1, -1, 0, 0]]);
  assert.deepEqual((await differentiated({ nodes: one, wrt: ['x'] })).added.slice(-2), ['Neg', 'Pad']);
  const two = [split, { op: 'Mul', inputs: ['p', 'r'], outputs: ['z'] }, SUM];
  assert.deepEqual(await gradientsOf(t, { nodes: two, wrt: ['x'] }), [[5, 6, 0, 0, 1, 2]]);
});

test('Concat cuts out only the parts that are wanted', async (t) => {
  const nodes = [{ op: 'Concat', inputs: ['k', 'x'], outputs: ['z'], attributes: { axis: intValue(0) } }, SUM];
  const parts = { nodes, constants: { k: tensorFromFloats([1, 2], Float32Array.of(7, 8)) }, wrt: ['x'] };
  assert.deepEqual(await gradientsOf(t, parts), [[1, 1, 1, 1, 1, 1]]);
  assert.equal((await differentiated(parts)).added.filter((op) => op === 'Slice').length, 1);
});

test('starts and ends that follow from shapes are known', async (t) => {
  const shape = { op: 'Shape', inputs: ['x'], outputs: ['shape'], attributes: { end: intValue(1) } };
  const last = { op: 'Sub', inputs: ['shape', 'one'], outputs: ['last'] };
  const slice = { op: 'Slice', inputs: ['x', 'last', 'shape'], outputs: ['z'] };
  const nodes = [shape, last, slice, SUM];
  assert.deepEqual(await gradientsOf(t, { nodes, constants: { one: ints(1) }, wrt: ['x'] }), [[0, 0, 0, 0, 1, 1]]);
});

test('parts whose place depends on the data are refused', async () => {
  const model = tinyModel({
    inputs: [
      ['x', 'float32', [3]],
      ['starts', 'int64', [1]],
    ],
    outputs: [['y', 'float32', [1]]],
    nodes: [{ op: 'Slice', name: 'cut', inputs: ['x', 'starts', 'ends'], outputs: ['y'] }],
    constants: { ends: ints(3) },
  });
  await assert.rejects(differentiate(model, { loss: 'y', wrt: ['x'] }), {
    code: 'MODEL_NOT_DIFFERENTIABLE',
    message: /Slice \(opset 17\) of node cut cannot be differentiated: its starts are known only when the model runs/,
  });
});
