import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { createOnnxRuntime } from '../runtime/onnx-runtime.js';
import { ScratchTensors } from '../scratch-tensors.js';
import { checkPass } from '../testing/check-pass.js';
import { randomTensor } from '../testing/random-tensor.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { tinyModel } from '../testing/tiny-model.js';
import { prepareForTraining } from './prepare-for-training.js';

test('normalizations get constants of their own and are not folded, and dropout goes away', async (t) => {
  const model = tinyModel({
    inputs: [['x', 'float32', [2, 3, 4, 4]]],
    outputs: [['y', 'float32', null]],
    nodes: [
      { op: 'Conv', inputs: ['x', 'w'], outputs: ['c'] },
      { op: 'BatchNormalization', inputs: ['c', 'one', 'zero', 'zero', 'one'], outputs: ['n'] },
      { op: 'Dropout', inputs: ['n'], outputs: ['d'] },
      { op: 'BatchNormalization', inputs: ['d', 'one', 'zero', 'mean', 'one'], outputs: ['y'] },
    ],
    constants: {
      w: randomTensor([3, 3, 1, 1], 1),
      one: randomTensor([3], 2, 0, 1),
      zero: randomTensor([3], 3, 0),
      mean: randomTensor([3], 4),
    },
  });
  const scratchDir = temporaryFolder(t);
  const options = { runtime: createOnnxRuntime(), scratchDir, maxResultBytes: 2 ** 20 };
  const { graph } = await checkPass(t, model, async (copy) => {
    await prepareForTraining(copy, { ...options, scratch: new ScratchTensors(join(scratchDir, 'tensors.bin')) });
    return true;
  });
  assert.deepEqual(
    graph.nodes.map(({ opType }) => opType),
    ['Conv', 'BatchNormalization', 'BatchNormalization'],
  );
  const constants = graph.nodes.slice(1).flatMap(({ inputs }) => inputs.slice(1));
  assert.equal(new Set(constants).size, 8, constants.join());
});
