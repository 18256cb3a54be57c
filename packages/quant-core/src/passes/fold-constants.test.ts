import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  intsValue,
  intValue,
  type Model,
  scalarFloat,
  scalarInt8,
  tensorFromFloats,
  tensorFromInt8,
  tensorFromInt64,
  tensorValue,
} from '../ir/index.js';
import { createOnnxRuntime } from '../runtime/onnx-runtime.js';
import { ScratchTensors } from '../scratch-tensors.js';
import { checkPass } from '../testing/check-pass.js';
import { randomTensor } from '../testing/random-tensor.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { tinyModel } from '../testing/tiny-model.js';
import { foldConstants } from './fold-constants.js';

const fold = (t: TestContext, maxResultBytes = 2 ** 20) => {
  const scratchDir = temporaryFolder(t);
  const scratch = new ScratchTensors(join(scratchDir, 'tensors.bin'));
  return (model: Model) => foldConstants(model, { runtime: createOnnxRuntime(), scratch, scratchDir, maxResultBytes });
};

test('transposed, dequantized and generated weights are computed once', async (t) => {
  const model = tinyModel({
    inputs: [['x', 'float32', [2, 3]]],
    outputs: [['y', 'float32', null]],
    nodes: [
      { op: 'Transpose', inputs: ['w'], outputs: ['wt'], attributes: { perm: intsValue([1, 0]) } },
      { op: 'DequantizeLinear', inputs: ['q', 's', 'z'], outputs: ['qw'] },
      {
        op: 'ConstantOfShape',
        inputs: ['shape'],
        outputs: ['ones'],
        attributes: { value: tensorValue(tensorFromFloats([1], Float32Array.of(1))) },
      },
      { op: 'MatMul', inputs: ['x', 'wt'], outputs: ['a'] },
      { op: 'MatMul', inputs: ['a', 'qw'], outputs: ['b'] },
      { op: 'Gemm', inputs: ['b', 'ones'], outputs: ['y'], attributes: { transB: intValue(1) } },
    ],
    constants: {
      w: randomTensor([4, 3], 1),
      q: tensorFromInt8([4, 2], Int8Array.of(1, -2, 3, -4, 5, -6, 7, 8)),
      s: scalarFloat(0.25),
      z: scalarInt8(1),
      shape: tensorFromInt64([2], [5, 2]),
    },
  });
  const after = await checkPass(t, model, fold(t));
  assert.deepEqual(
    after.graph.nodes.map((node) => node.opType),
    ['MatMul', 'MatMul', 'Gemm'],
  );
  assert.deepEqual([...after.graph.initializers.keys()].sort(), ['ones', 'qw', 'wt']);
});

test('large results that are no weight, and weights beyond the limit, stay computed', async (t) => {
  const model = (size: number) =>
    tinyModel({
      inputs: [['x', 'float32', [1, size]]],
      outputs: [
        ['y', 'float32', null],
        ['z', 'float32', null],
      ],
      nodes: [
        { op: 'ConstantOfShape', inputs: ['shape'], outputs: ['big'] },
        { op: 'MatMul', inputs: ['x', 'big'], outputs: ['y'] },
        { op: 'ConstantOfShape', inputs: ['shape'], outputs: ['mask'] },
        { op: 'Add', inputs: ['x', 'mask'], outputs: ['z'] },
      ],
      constants: { shape: tensorFromInt64([2], [size, size]) },
    });
  assert.equal(await fold(t)(model(1024)), false);
  const after = await checkPass(t, model(256), fold(t));
  assert.deepEqual(
    after.graph.nodes.map((node) => node.opType),
    ['MatMul', 'ConstantOfShape', 'Add'],
  );
});

test('random numbers are not constants', async (t) => {
  const model = tinyModel({
    inputs: [['x', 'float32', [2, 2]]],
    outputs: [['y', 'float32', [2, 2]]],
    nodes: [
      { op: 'RandomNormal', inputs: [], outputs: ['r'], attributes: { shape: intsValue([2, 2]) } },
      { op: 'MatMul', inputs: ['x', 'r'], outputs: ['y'] },
    ],
  });
  assert.equal(await fold(t)(model), false);
});
