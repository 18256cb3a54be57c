import assert from 'node:assert/strict';
import { test } from 'node:test';
import { intsValue, intValue, type Tensor, tensorFromFloats, tensorFromInt64 } from '../../ir/index.js';
import { runWhole } from '../../prefix/testing.js';
import { floats } from '../../testing/memory-dataset.js';
import { temporaryFolder } from '../../testing/temporary-folder.js';
import { type TinyNode, tinyModel } from '../../testing/tiny-model.js';
import { differentiate } from '../gradients.js';
import { checkGradient } from '../testing/check-gradient.js';

const SHAPE = [2, 3, 5, 3];
const AXES = [[-1], [0, 2], [-2, 1, 3], []];

/** Since opset 13 ReduceSum takes its axes as an input, since 18 all do. */
const REDUCTIONS = ['ReduceSum', 'ReduceMean', 'ReduceSumSquare', 'ReduceL2', 'ReduceMax', 'ReduceMin'];

const ints = (values: readonly number[]): Tensor => tensorFromInt64([values.length], values);

for (const op of REDUCTIONS) {
  const named = op === 'ReduceSum' ? 11 : 17;
  for (const keepdims of [0, 1]) {
    test(`${op} takes axes as an attribute, with keepdims = ${keepdims}`, async (t) => {
      for (const axes of AXES) {
        const listed = axes.length > 0 && { axes: intsValue(axes) };
        const node = { op, attributes: { ...listed, keepdims: intValue(keepdims) } };
        await checkGradient(t, { node, inputs: [SHAPE], opset: named });
      }
    });
    test(`${op} takes axes as an input, with keepdims = ${keepdims}`, async (t) => {
      const node = { op, attributes: { keepdims: intValue(keepdims) } };
      for (const axes of AXES) await checkGradient(t, { node, inputs: [SHAPE], constants: [ints(axes)], opset: 18 });
    });
  }
  test(`${op} reduces all axes where none are given, or none where the node says so`, async (t) => {
    await checkGradient(t, { node: { op }, inputs: [SHAPE], opset: 20 });
    const node = { op, attributes: { noop_with_empty_axes: intValue(1) } };
    for (const constants of [[], [null], [ints([])]])
      await checkGradient(t, { node, inputs: [SHAPE], constants, opset: 18, range: [0.2, 2] });
    await checkGradient(t, { node, inputs: [SHAPE], constants: [ints([0, 2])], opset: 18 });
  });
}

test('Sum and Mean give each input its part, summed over what was broadcast', async (t) => {
  for (const op of ['Sum', 'Mean']) {
    await checkGradient(t, { node: { op }, inputs: [[2, 3, 4], [3, 1], [], [1, 1, 4]] });
    await checkGradient(t, { node: { op }, inputs: [[2, 3]] });
  }
});

test('Max and Min give the gradient to the input that won, summed over what was broadcast', async (t) => {
  for (const op of ['Max', 'Min']) {
    await checkGradient(t, {
      node: { op },
      inputs: [
        [2, 3, 4],
        [3, 1],
      ],
    });
    await checkGradient(t, { node: { op }, inputs: [[], [5]] });
    await checkGradient(t, { node: { op }, inputs: [[2, 3]] });
    await checkGradient(t, { node: { op }, inputs: [[3, 4]], constants: [tensorFromFloats([], Float32Array.of(0.1))] });
  }
});

/** ∂(Σ y)/∂x and ∂(Σ y)/∂w at exact values. */
async function gradientsAt(
  folder: string,
  node: TinyNode,
  { x, w, opset = 17 }: { x: readonly number[]; w?: readonly number[]; opset?: number },
): Promise<number[][]> {
  const model = tinyModel({
    inputs: [['x', 'float32', [x.length]]],
    outputs: [['loss', 'float32', []]],
    nodes: [node, { op: 'ReduceSum', inputs: ['y'], outputs: ['loss'], attributes: { keepdims: intValue(0) } }],
    constants: { ...(w && { w: tensorFromFloats([w.length], Float32Array.from(w)) }), axes: ints([0]) },
    opset,
  });
  const wrt = w === undefined ? ['x'] : ['x', 'w'];
  const { model: backward, gradients } = await differentiate(model, { loss: 'loss', wrt });
  const names = wrt.map((name) => gradients.get(name)!);
  const [outputs] = await runWhole(backward, names, [new Map([['x', floats([x.length], x)]])], folder);
  return names.map((name) => Array.from(outputs!.get(name)!.data as Float32Array));
}

test('elements that tie for the extreme share its gradient equally', async (t) => {
  const folder = temporaryFolder(t);
  const of = (op: string, inputs: string[]): TinyNode => ({ op, inputs, outputs: ['y'] });
  assert.deepEqual(await gradientsAt(folder, of('ReduceMax', ['x']), { x: [3, 1, 3, 3, 2] }), [
    [1, 0, 1, 1, 0].map((v) => Math.fround(v / 3)),
  ]);
  assert.deepEqual(await gradientsAt(folder, of('ReduceMin', ['x']), { x: [1, 1, 3] }), [[0.5, 0.5, 0]]);
  const [x, w] = [
    [1, 2, 3],
    [1, 3, 2],
  ];
  assert.deepEqual(await gradientsAt(folder, of('Max', ['x', 'w']), { x, w }), [
    [0.5, 0, 1],
    [0.5, 1, 0],
  ]);
  assert.deepEqual(await gradientsAt(folder, of('Min', ['x', 'w']), { x, w }), [
    [0.5, 1, 0],
    [0.5, 0, 1],
  ]);
});

test('the norm of zeros has the gradient 0', async (t) => {
  const node = { op: 'ReduceL2', inputs: ['x'], outputs: ['y'] };
  assert.deepEqual(await gradientsAt(temporaryFolder(t), node, { x: [0, 0, 0] }), [[0, 0, 0]]);
});

test('axes that are computed, and the maximum of three inputs, are refused by name', async () => {
  const refuse = async (node: TinyNode, message: RegExp) => {
    const model = tinyModel({
      inputs: [
        ['x', 'float32', [3]],
        ['computed', 'int64', [1]],
      ],
      outputs: [],
      nodes: [node],
      opset: 18,
    });
    model.graph.valueInfo.set('y', { name: 'y', dtype: 'float32', shape: [1] });
    await assert.rejects(differentiate(model, { loss: 'y', wrt: ['x'] }), {
      code: 'MODEL_NOT_DIFFERENTIABLE',
      message,
    });
  };
  await refuse({ op: 'ReduceMean', inputs: ['x', 'computed'], outputs: ['y'] }, /the axes computed are not a constant/);
  await refuse({ op: 'Max', inputs: ['x', 'x', 'x'], outputs: ['y'] }, /it has 3 inputs, of which at most 2/);
});
