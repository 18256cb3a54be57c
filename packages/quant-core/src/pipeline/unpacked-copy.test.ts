import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { intValue, scalarInt8, tensorFromFloats, tensorFromInt8 } from '../ir/index.js';
import { readModel, writeModel } from '../onnx/index.js';
import { createOnnxRuntime } from '../runtime/onnx-runtime.js';
import type { Feeds } from '../runtime/runtime.js';
import { ScratchTensors } from '../scratch-tensors.js';
import { randomTensor } from '../testing/random-tensor.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { tinyModel } from '../testing/tiny-model.js';
import { unpackedCopy } from './unpacked-copy.js';

test('an unpacked copy has the weights of float layers as constants, dequantizes as before and computes the same', async (t) => {
  const folder = temporaryFolder(t);
  const scratchDir = temporaryFolder(t);
  const path = join(folder, 'artifact.onnx');
  const codes = tensorFromInt8(
    [4, 4],
    Int8Array.from({ length: 16 }, (_, i) => (i % 3) - 1),
  );
  const model = tinyModel({
    inputs: [['x', 'float32', [2, 4]]],
    outputs: [['y', 'float32', [2, 4]]],
    nodes: [
      { op: 'Cast', inputs: ['codes'], outputs: ['floats'], attributes: { to: intValue(1) } },
      { op: 'Mul', inputs: ['floats', 'scales'], outputs: ['weight'] },
      { op: 'MatMul', inputs: ['x', 'weight'], outputs: ['a'] },
      { op: 'DequantizeLinear', inputs: ['codes', 'scale', 'zero'], outputs: ['w8'] },
      { op: 'MatMul', inputs: ['a', 'w8'], outputs: ['y'] },
    ],
    constants: {
      codes,
      scales: randomTensor([1, 4], 1),
      scale: tensorFromFloats([], Float32Array.of(0.5)),
      zero: scalarInt8(0),
    },
  });
  await writeModel(model, path);
  const runtime = createOnnxRuntime();
  const scratch = new ScratchTensors(join(scratchDir, 'tensors.bin'));

  const copyPath = await unpackedCopy(path, { runtime, scratch, scratchDir });

  const copy = await readModel(copyPath);
  assert.deepEqual(
    copy.graph.nodes.map(({ opType }) => opType),
    ['MatMul', 'DequantizeLinear', 'MatMul'],
  );
  assert.equal(copy.graph.initializers.get('weight')?.dtype, 'float32');
  const feeds: Feeds = new Map([
    ['x', { dtype: 'float32', shape: [2, 4], data: Float32Array.of(1, -2, 3, -4, 5, -6, 7, -8) }],
  ]);
  const outputs = await Promise.all(
    [path, copyPath].map(async (file) => {
      const session = await runtime.load(file, { threads: 1, optimization: 'none' });
      const result = await session.run(feeds);
      await session.release();
      return result.get('y')!.data;
    }),
  );
  assert.deepEqual(outputs[1], outputs[0]);
});
