import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { floatAttribute, floatValue } from '../ir/index.js';
import { ScratchTensors } from '../scratch-tensors.js';
import { checkPass } from '../testing/check-pass.js';
import { randomTensor } from '../testing/random-tensor.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { tinyModel } from '../testing/tiny-model.js';
import { matmulToGemm } from './matmul-to-gemm.js';
import { normalizeGemm } from './normalize-gemm.js';
import { sumToAdd } from './sum-to-add.js';

const matmul = (shape: number[], biasShape: number[]) =>
  tinyModel({
    inputs: [['x', 'float32', shape]],
    outputs: [['y', 'float32', null]],
    nodes: [
      { op: 'MatMul', inputs: ['x', 'w'], outputs: ['m'] },
      { op: 'Add', inputs: ['b', 'm'], outputs: ['y'] },
    ],
    constants: { w: randomTensor([3, 4], 1), b: randomTensor(biasShape, 2) },
  });

test('a matrix product of rank 2 with a bias becomes a Gemm', async (t) => {
  for (const biasShape of [[4], [1, 4], [1]]) {
    const after = await checkPass(t, matmul([2, 3], biasShape), matmulToGemm);
    assert.deepEqual(
      after.graph.nodes.map((node) => node.opType),
      ['Gemm'],
    );
    assert.deepEqual(after.graph.initializers.get(after.graph.nodes[0]!.inputs[2]!)!.shape, [4]);
  }
});

test('a product of higher rank, and a bias per row, stay as they are', async () => {
  assert.equal(await matmulToGemm(matmul([5, 2, 3], [4])), false);
  assert.equal(await matmulToGemm(matmul([2, 3], [2, 1])), false);
});

test('alpha goes into the weight and beta into the bias', async (t) => {
  const model = tinyModel({
    inputs: [['x', 'float32', [2, 3]]],
    outputs: [['y', 'float32', [2, 4]]],
    nodes: [
      {
        op: 'Gemm',
        inputs: ['x', 'w', 'b'],
        outputs: ['y'],
        attributes: { alpha: floatValue(0.5), beta: floatValue(3) },
      },
    ],
    constants: { w: randomTensor([3, 4], 1), b: randomTensor([1], 2) },
  });
  const scratch = new ScratchTensors(join(temporaryFolder(t), 'tensors.bin'));
  const after = await checkPass(t, model, (copy) => normalizeGemm(copy, scratch));
  const [gemm] = after.graph.nodes;
  assert.equal(floatAttribute(gemm!, 'alpha', 1), 1);
  assert.equal(floatAttribute(gemm!, 'beta', 1), 1);
  assert.equal(await normalizeGemm(after, scratch), false);
});

test('a sum of two values becomes an addition', async (t) => {
  const model = tinyModel({
    inputs: [
      ['x', 'float32', [2]],
      ['z', 'float32', [2]],
    ],
    outputs: [['y', 'float32', [2]]],
    nodes: [{ op: 'Sum', inputs: ['x', 'z'], outputs: ['y'] }],
  });
  const after = await checkPass(t, model, sumToAdd);
  assert.equal(after.graph.nodes[0]!.opType, 'Add');
});
