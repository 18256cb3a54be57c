import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import {
  intValue,
  scalarFloat,
  type Tensor,
  tensorFromBytes,
  tensorFromFloats,
  tensorFromInt32,
  tensorFromInt64,
  tensorValue,
} from '../../ir/index.js';
import { runWhole } from '../../prefix/testing.js';
import type { HostTensor } from '../../runtime/runtime.js';
import { floats } from '../../testing/memory-dataset.js';
import { temporaryFolder } from '../../testing/temporary-folder.js';
import { type TinyNode, tinyModel } from '../../testing/tiny-model.js';
import { differentiate } from '../gradients.js';
import { checkGradient } from '../testing/check-gradient.js';

const ints = (shape: readonly number[], ...values: readonly number[]): Tensor => tensorFromInt64(shape, values);
const bools = (shape: readonly number[], ...values: readonly number[]): Tensor =>
  tensorFromBytes('bool', shape, Uint8Array.from(values));

/** Indices for an axis of 4: one, a run, a run of a matrix, a choice, all in another order, with repeats. */
const INDICES: readonly Tensor[] = [
  ints([], -2),
  ints([2], 1, 2),
  ints([2, 2], -4, 1, 2, 3),
  ints([3], 3, 0, -2),
  ints([4], 2, 0, 3, 1),
  ints([5], 1, -1, 3, 1, 0),
  ints([2, 3], 0, 2, 2, -2, 3, 3),
  tensorFromInt32([3], Int32Array.of(2, -2, 0)),
];

test('Gather along any axis adds up what was picked repeatedly', async (t) => {
  const shapes: readonly (readonly [axis: number, shape: readonly number[]])[] = [
    [0, [4, 3]],
    [1, [2, 4, 3]],
    [-1, [2, 3, 4]],
    [0, [4]],
  ];
  for (const [axis, shape] of shapes)
    for (const indices of INDICES) {
      const node = { op: 'Gather', attributes: { axis: intValue(axis) } };
      await checkGradient(t, { node, inputs: [shape], constants: [indices] });
    }
  await checkGradient(t, { node: { op: 'Gather' }, inputs: [[4, 3]], constants: [ints([2], 0, 3)], opset: 13 });
});

test('GatherElements adds to where each element came from', async (t) => {
  for (const [axis, indices] of [
    [0, ints([2, 3], 0, -1, 3, 3, 3, 3)],
    [1, ints([3, 4], 0, 0, 2, -1, 1, 1, 1, 1, 2, -3, 0, 0)],
    [-1, tensorFromInt32([4, 1], Int32Array.of(2, -1, 0, 1))],
  ] as const) {
    const node = { op: 'GatherElements', attributes: { axis: intValue(axis) } };
    for (const opset of [16, 18]) await checkGradient(t, { node, inputs: [[4, 3]], constants: [indices], opset });
  }
});

test('GatherND adds slices and elements, with and without batch axes', async (t) => {
  const cases: readonly (readonly [batchRank: number, indices: Tensor])[] = [
    [0, ints([2, 3], 0, 1, 2, 1, -1, 0)],
    [0, ints([3, 1], 1, 0, -1)],
    [0, ints([2, 2, 2], 0, 1, 0, 1, 1, 2, 0, 1)],
    [1, ints([2, 2, 1], 2, 2, 0, -1)],
    [1, ints([2, 2], 2, 3, 0, -1)],
    [2, ints([2, 3, 1], 0, 1, 2, 3, -1, 1)],
  ];
  for (const [batchRank, constant] of cases) {
    const node = { op: 'GatherND', attributes: { batch_dims: intValue(batchRank) } };
    await checkGradient(t, { node, inputs: [[2, 3, 4]], constants: [constant] });
  }
});

test('Where gives each branch its part, summed over what was broadcast', async (t) => {
  const cases: readonly (readonly [condition: Tensor, inputs: readonly (readonly number[])[]])[] = [
    [
      bools([2, 3], 1, 0, 0, 1, 1, 0),
      [
        [2, 3],
        [2, 3],
      ],
    ],
    [
      bools([3], 1, 0, 1),
      [
        [2, 3],
        [2, 1],
      ],
    ],
    [bools([2, 1], 1, 0), [[3], [4, 2, 1]]],
    [bools([2, 3], 1, 0, 0, 1, 1, 0), [[], [3]]],
    [bools([], 0), [[2], [3, 1]]],
  ];
  for (const [condition, inputs] of cases)
    await checkGradient(t, { node: { op: 'Where' }, leading: [condition], inputs });
});

interface Loss {
  readonly nodes: readonly TinyNode[];
  readonly constants?: Readonly<Record<string, Tensor>>;
  readonly feeds?: Readonly<Record<string, HostTensor>>;
  readonly opset?: number;
}

/** Gradient by x = [1.25, −2, 3] of the sum of z, and the operators that compute it. */
async function gradientOf(t: TestContext, { nodes, constants = {}, feeds = {}, opset = 17 }: Loss) {
  const sum: TinyNode = { op: 'ReduceSum', inputs: ['z'], outputs: ['loss'], attributes: { keepdims: intValue(0) } };
  const given: Readonly<Record<string, HostTensor>> = { x: floats([3], [1.25, -2, 3]), ...feeds };
  const model = tinyModel({
    inputs: Object.entries(given).map(([name, { dtype, shape }]) => [name, dtype, shape] as const),
    outputs: [['loss', 'float32', null]],
    nodes: [...nodes, sum],
    constants,
    opset,
  });
  const { model: backward, gradients } = await differentiate(model, { loss: 'loss', wrt: ['x'] });
  const [values] = await runWhole(
    backward,
    [gradients.get('x')!],
    [new Map(Object.entries(given))],
    temporaryFolder(t),
  );
  const added = backward.graph.nodes.slice(nodes.length + 1).map(({ opType }) => opType);
  return { gradient: Array.from(values!.get(gradients.get('x')!)!.data as Float32Array), added };
}

test('indices that are fed may repeat and be negative, in either width', async (t) => {
  const nodes = [{ op: 'Gather', inputs: ['x', 'indices'], outputs: ['z'] }];
  const wide: HostTensor = { dtype: 'int64', shape: [4], data: BigInt64Array.of(2n, -1n, 0n, 2n) };
  const narrow: HostTensor = { dtype: 'int32', shape: [4], data: Int32Array.of(2, -1, 0, 2) };
  for (const indices of [wide, narrow])
    assert.deepEqual((await gradientOf(t, { nodes, feeds: { indices } })).gradient, [1, 0, 3]);
});

test('repeated indices are refused where scattering cannot add', async (t) => {
  const nodes = [{ op: 'Gather', name: 'pick', inputs: ['x', 'indices'], outputs: ['z'] }];
  const constants = { indices: ints([2], 1, 1) };
  await assert.rejects(gradientOf(t, { nodes, constants, opset: 15 }), {
    code: 'MODEL_NOT_DIFFERENTIABLE',
    message: /Gather \(opset 15\) of node pick .*: adding up at indices needs opset 16 or later/,
  });
});

test('Where keeps away what is no number in the gradients of what it did not choose', async (t) => {
  // √max(x, 0) with the derivative of the root at 0 multiplied by no gradient: ∞ · 0.
  const nodes = [
    { op: 'Greater', inputs: ['x', 'zero'], outputs: ['isPositive'] },
    { op: 'Where', inputs: ['isPositive', 'x', 'zero'], outputs: ['safe'] },
    { op: 'Sqrt', inputs: ['safe'], outputs: ['root'] },
    { op: 'Where', inputs: ['isPositive', 'root', 'zero'], outputs: ['z'] },
  ];
  const { gradient } = await gradientOf(t, { nodes, constants: { zero: scalarFloat(0) } });
  assert.deepEqual(gradient.map(Math.fround), [0.5 / Math.sqrt(1.25), 0, 0.5 / Math.sqrt(3)].map(Math.fround));
});

test('Where adds nothing for a branch that is not wanted', async (t) => {
  const constants = { c: bools([3], 1, 0, 1), zero: scalarFloat(0) };
  for (const [branches, expected] of [
    [
      ['x', 'zero'],
      [1, 0, 1],
    ],
    [
      ['zero', 'x'],
      [0, 1, 0],
    ],
  ] as const) {
    const nodes = [{ op: 'Where', inputs: ['c', ...branches], outputs: ['z'] }];
    const { gradient, added } = await gradientOf(t, { nodes, constants });
    assert.deepEqual(gradient, expected);
    assert.equal(added.filter((op) => op === 'Where').length, 1);
  }
});

test('a table that is not wanted gets no gradient by indices that depend on what is', async (t) => {
  const constants = { table: tensorFromFloats([3], Float32Array.of(4, 5, 6)) };
  for (const op of ['Gather', 'GatherElements', 'GatherND']) {
    const nodes = [
      { op: 'ArgMax', inputs: ['x'], outputs: ['most'] },
      { op, inputs: ['table', 'most'], outputs: ['picked'] },
      { op: 'Add', inputs: ['x', 'picked'], outputs: ['z'] },
    ];
    const { gradient, added } = await gradientOf(t, { nodes, constants });
    assert.deepEqual(gradient, [1, 1, 1]);
    assert.ok(!added.some((name) => name.startsWith('Scatter') || name === 'Pad'), `${added}`);
  }
});

const ZERO = { zero: scalarFloat(0), zeros: tensorFromFloats([3], new Float32Array(3)) };
const FLOAT32 = 1;

for (const op of ['Round', 'Floor', 'Ceil', 'Sign']) {
  test(`nothing flows through ${op}`, async (t) => {
    const nodes = [
      { op, inputs: ['x'], outputs: ['whole'] },
      { op: 'Sub', inputs: ['x', 'whole'], outputs: ['z'] },
    ];
    assert.deepEqual((await gradientOf(t, { nodes })).gradient, [1, 1, 1]);
  });
}

for (const op of ['Equal', 'Greater', 'GreaterOrEqual', 'Less', 'LessOrEqual', 'IsInf', 'IsNaN']) {
  test(`nothing flows through ${op}, logic and what is made of it`, async (t) => {
    const isUnary = op.startsWith('Is');
    const logic = (name: string, inputs: readonly string[], output: string) => ({
      op: name,
      inputs,
      outputs: [output],
    });
    const nodes = [
      logic(op, isUnary ? ['x'] : ['x', 'zero'], 'p'),
      logic('Not', ['p'], 'q'),
      logic('And', ['p', 'q'], 'never'),
      logic('Or', ['p', 'never'], 'r'),
      logic('Xor', ['r', 'q'], 'always'),
      { op: 'Cast', inputs: ['always'], outputs: ['ones'], attributes: { to: intValue(FLOAT32) } },
      logic('Mul', ['x', 'ones'], 'z'),
    ];
    assert.deepEqual((await gradientOf(t, { nodes, constants: ZERO })).gradient, [1, 1, 1]);
  });
}

test('nothing flows through shapes, sizes and indices', async (t) => {
  const value = tensorValue(tensorFromFloats([1], Float32Array.of(2)));
  const cast = (input: string, output: string) => ({
    op: 'Cast',
    inputs: [input],
    outputs: [output],
    attributes: { to: intValue(FLOAT32) },
  });
  const nodes: TinyNode[] = [
    { op: 'Shape', inputs: ['x'], outputs: ['shape'] },
    { op: 'ConstantOfShape', inputs: ['shape'], outputs: ['twos'], attributes: { value } },
    { op: 'Size', inputs: ['x'], outputs: ['size'] },
    cast('size', 'count'),
    { op: 'ArgMax', inputs: ['x'], outputs: ['most'] },
    { op: 'ArgMin', inputs: ['x'], outputs: ['least'] },
    { op: 'OneHot', inputs: ['most', 'shape', 'offOn'], outputs: ['hot'] },
    { op: 'Gather', inputs: ['x', 'least'], outputs: ['lowest'] },
    { op: 'Mul', inputs: ['x', 'twos'], outputs: ['doubled'] },
    { op: 'Mul', inputs: ['doubled', 'count'], outputs: ['scaled'] },
    { op: 'Mul', inputs: ['scaled', 'hot'], outputs: ['masked'] },
    { op: 'Add', inputs: ['masked', 'lowest'], outputs: ['z'] },
  ];
  const constants = { offOn: tensorFromFloats([2], Float32Array.of(0, 1)) };
  // Twice three times the largest, and the smallest added to each of three.
  assert.deepEqual((await gradientOf(t, { nodes, constants })).gradient, [0, 3, 6]);
});

test('OneHot with values that are computed is refused', async (t) => {
  const nodes = [
    { op: 'Slice', inputs: ['x', 'one', 'three'], outputs: ['values'] },
    { op: 'OneHot', inputs: ['indices', 'three', 'values'], outputs: ['z'] },
  ];
  const constants = { one: ints([1], 1), three: ints([1], 3), indices: ints([2], 0, 2) };
  await assert.rejects(gradientOf(t, { nodes, constants }), {
    code: 'MODEL_NOT_DIFFERENTIABLE',
    message: /OneHot .* its values are computed or learned/,
  });
});
