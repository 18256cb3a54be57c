import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { floatValue, intsValue, intValue, type Model, readFloats, tensorFromFloats } from '../ir/index.js';
import { ScratchTensors } from '../scratch-tensors.js';
import { checkPass } from '../testing/check-pass.js';
import { randomTensor } from '../testing/random-tensor.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { type TinyNode, tinyModel } from '../testing/tiny-model.js';
import { foldAffine } from './fold-affine.js';

const fold = (t: TestContext) => {
  const scratch = new ScratchTensors(join(temporaryFolder(t), 'tensors.bin'));
  return (model: Model) => foldAffine(model, scratch);
};

const batchNorm = {
  gamma: randomTensor([4], 1, 0.3, 1),
  beta: randomTensor([4], 2),
  mean: randomTensor([4], 3),
  variance: randomTensor([4], 4, 0.1, 1),
};
const norm = (from: string, to: string): TinyNode => ({
  op: 'BatchNormalization',
  inputs: [from, ...Object.keys(batchNorm)],
  outputs: [to],
  attributes: { epsilon: floatValue(1e-3) },
});

function convModel(nodes: readonly TinyNode[], output = 'y') {
  return tinyModel({
    inputs: [['x', 'float32', [1, 4, 5, 5]]],
    outputs: [[output, 'float32', null]],
    nodes: [{ op: 'Conv', inputs: ['x', 'w'], outputs: ['c'], attributes: { group: intValue(2) } }, ...nodes],
    constants: {
      w: randomTensor([4, 2, 3, 3], 5),
      k: randomTensor([4, 1, 1], 6),
      one: randomTensor([1, 4, 1, 1], 7),
      wide: randomTensor([3], 8),
      ...batchNorm,
    },
  });
}

test('a batch norm and per-channel arithmetic after a grouped convolution become its weight and bias', async (t) => {
  const model = convModel([
    norm('c', 'n'),
    { op: 'Mul', inputs: ['n', 'k'], outputs: ['m'] },
    { op: 'Add', inputs: ['one', 'm'], outputs: ['a'] },
    { op: 'Sub', inputs: ['k', 'a'], outputs: ['s'] },
    { op: 'Div', inputs: ['s', 'one'], outputs: ['y'] },
  ]);
  const after = await checkPass(t, model, fold(t));
  assert.deepEqual(
    after.graph.nodes.map((node) => node.opType),
    ['Conv'],
  );
  assert.equal(after.graph.nodes[0]!.inputs.length, 3);
});

test('a batch norm after a Gemm folds along the right axis, transposed or not', async (t) => {
  for (const transB of [0, 1]) {
    const model = tinyModel({
      inputs: [['x', 'float32', [2, 3]]],
      outputs: [['y', 'float32', [2, 4]]],
      nodes: [
        { op: 'Gemm', inputs: ['x', 'w', 'b'], outputs: ['g'], attributes: { transB: intValue(transB) } },
        norm('g', 'y'),
      ],
      constants: { w: randomTensor(transB ? [4, 3] : [3, 4], 9), b: randomTensor([1, 4], 10), ...batchNorm },
    });
    const after = await checkPass(t, model, fold(t));
    assert.deepEqual(
      after.graph.nodes.map((node) => node.opType),
      ['Gemm'],
    );
  }
});

test('a weight that another layer uses is copied, not changed', async (t) => {
  const model = convModel([
    norm('c', 'y'),
    { op: 'Conv', inputs: ['x', 'w'], outputs: ['z'], attributes: { group: intValue(2) } },
  ]);
  model.graph.outputs.push({ name: 'z', dtype: 'float32', shape: null });
  const before = await readFloats(model.graph.initializers.get('w')!);
  const after = await checkPass(t, model, fold(t));
  assert.deepEqual(await readFloats(after.graph.initializers.get('w')!), before);
});

test('nothing folds across a value that is used twice, or along another axis', async (t) => {
  const twice = convModel([norm('c', 'n'), { op: 'Add', inputs: ['n', 'c'], outputs: ['y'] }]);
  assert.equal(await fold(t)(twice), false);
  const spatial = convModel([{ op: 'Mul', inputs: ['c', 'wide'], outputs: ['y'] }]);
  assert.equal(await fold(t)(spatial), false);
});

test('a weight that goes to the scratch file keeps its values', async (t) => {
  const channels = 512;
  const ones = (shape: number[]) => tensorFromFloats(shape, new Float32Array(shape.reduce((a, b) => a * b)).fill(1));
  const model = tinyModel({
    inputs: [['x', 'float32', [1, channels, 3, 3]]],
    outputs: [['y', 'float32', null]],
    nodes: [
      { op: 'Conv', inputs: ['x', 'w'], outputs: ['c'], attributes: { pads: intsValue([0, 0, 0, 0]) } },
      { op: 'Mul', inputs: ['c', 'two'], outputs: ['y'] },
    ],
    constants: { w: randomTensor([channels, channels, 2, 2], 11), two: ones([1]) },
  });
  const after = await checkPass(t, model, fold(t));
  const folded = after.graph.initializers.get(after.graph.nodes[0]!.inputs[1]!)!;
  assert.equal(folded.data.kind, 'file');
  assert.deepEqual(await readFloats(folded), await readFloats(model.graph.initializers.get('w')!));
});
