import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Recipe } from '@tritforge/contracts';
import { EXACT_SQNR_DB } from '../../evaluate/index.js';
import { intAttribute, intValue, type Model, readTensor, type Tensor } from '../../ir/index.js';
import { readModel, validateModel } from '../../onnx/index.js';
import { runEncoded, writeEncoded } from '../../testing/accelerated-network.js';
import { quantizedNetwork } from '../../testing/quantized-network.js';
import { randomTensor } from '../../testing/random-tensor.js';
import { smallNetwork } from '../../testing/small-network.js';
import { type TinyNode, tinyModel } from '../../testing/tiny-model.js';

type Outputs = Awaited<ReturnType<typeof runEncoded>>;

/** Floats of the single output. */
const floatsOf = (outputs: Outputs): Float32Array => [...outputs.values()][0]!.data as Float32Array;

function sqnrDb(expected: Float32Array, actual: Float32Array): number {
  let [signal, noise] = [0, 0];
  expected.forEach((value, i) => {
    signal += value ** 2;
    noise += (value - actual[i]!) ** 2;
  });
  return noise === 0 ? EXACT_SQNR_DB : 10 * Math.log10(signal / noise);
}

/** Largest difference as a share of the largest value. */
function relativeError(expected: Float32Array, actual: Float32Array): number {
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return expected.reduce((most, value, i) => Math.max(most, Math.abs(value - actual[i]!)), 0) / largest;
}

interface Written {
  readonly artifact: Model;
  /** MatMulNBits by node name: bits, and block size. */
  readonly products: Record<string, string>;
}

/**
 * Writes the model in the profile and asserts that with products of floats it computes what the engine's own reading of the
 * codes computes, and with int8 inputs nearly that.
 */
async function write(t: TestContext, model: Model, recipe: Recipe): Promise<Written> {
  const source = await quantizedNetwork(t, model, { firstLast: { bits: 2 }, ...recipe });
  const reference = floatsOf(await runEncoded(await writeEncoded(t, source, 'reference'), 'none'));
  const path = await writeEncoded(t, source, 'ort-nbits');
  const exact = await writeEncoded(t, source, 'nbitsReference');
  for (const optimization of ['none', 'all'] as const) {
    const error = relativeError(reference, floatsOf(await runEncoded(exact, optimization)));
    // Fused layers round once more; without them nothing does.
    assert.ok(error < (recipe.activations?.bits === null ? 2e-6 : 0.02), `${optimization}: ${error}`);
  }
  const decibels = sqnrDb(reference, floatsOf(await runEncoded(path, 'all')));
  assert.ok(decibels > 30, `${decibels} dB`);
  const artifact = await readModel(path);
  await validateModel(artifact);
  const products: Record<string, string> = {};
  for (const node of artifact.graph.nodes.filter(({ opType }) => opType === 'MatMulNBits')) {
    assert.equal(intAttribute(node, 'accuracy_level', 0), 4);
    products[node.name] = `${intAttribute(node, 'bits', 0)} bits, ${intAttribute(node, 'block_size', 0)}`;
  }
  return { artifact, products };
}

/** One layer behind an input of [2, inner…, K]; further constants by name. */
function layerModel(
  node: Omit<TinyNode, 'outputs'>,
  constants: Record<string, Tensor>,
  sizes: readonly number[],
): Model {
  return tinyModel({
    inputs: [['x', 'float32', ['N', ...sizes]]],
    outputs: [['y', 'float32', null]],
    nodes: [{ ...node, name: 'layer', outputs: ['y'] }],
    constants,
    opset: 17,
  });
}

const matMul = (inputs: number, outputs: number, inner: readonly number[] = []) =>
  layerModel({ op: 'MatMul', inputs: ['x', 'w'] }, { w: randomTensor([inputs, outputs], 3) }, [...inner, inputs]);
const FLOAT_INPUTS: Recipe = { activations: { bits: null } };

test('ternary MatMuls with groups of 32, 64 and 128 are multiplied in 2 bits, others as in a portable artifact', async (t) => {
  for (const groupSize of [32, 64, 128] as const) {
    // Sizes that the group divides, and that it does not; groups larger than the input.
    for (const [inputs, outputs] of [
      [256, 24],
      [200, 7],
      [20, 5],
    ] as const) {
      const recipe = { ...FLOAT_INPUTS, weights: { groupSize } };
      const { products } = await write(t, matMul(inputs, outputs, [3]), recipe);
      assert.deepEqual(products, { layer: `2 bits, ${groupSize}` });
    }
  }
  const { products } = await write(t, matMul(64, 8), { ...FLOAT_INPUTS, weights: { groupSize: 16 } });
  assert.deepEqual(products, {});
});

test('4-bit weights with groups of 16 to 128 are multiplied in 4 bits', async (t) => {
  for (const groupSize of [16, 32, 64, 128] as const) {
    const recipe: Recipe = { ...FLOAT_INPUTS, method: 'int4', firstLast: { bits: 4 }, weights: { groupSize } };
    for (const [inputs, outputs] of [
      [256, 24],
      [50, 7],
    ] as const) {
      const { products } = await write(t, matMul(inputs, outputs), recipe);
      assert.deepEqual(products, { layer: `4 bits, ${groupSize}` });
    }
  }
});

test('two ternary planes are two products and their sum', async (t) => {
  const weights = { groupSize: 32 as const, residualPlanes: [{ name: '*' }] };
  const { artifact, products } = await write(t, matMul(100, 9), { ...FLOAT_INPUTS, weights });
  assert.deepEqual(products, { layer: '2 bits, 32', layer_residual: '2 bits, 32' });
  assert.deepEqual(artifact.graph.nodes.at(-1)!.opType, 'Add');
});

test('Gemms keep their bias, whichever way their weight is stored, and one with a matrix for a bias is as in a portable artifact', async (t) => {
  const constants = (transB: number) => ({
    w: randomTensor(transB ? [9, 70] : [70, 9], 3),
    b: randomTensor([9], 4, 2),
  });
  const recipes: Recipe[] = [FLOAT_INPUTS, {}];
  for (const recipe of recipes) {
    for (const transB of [0, 1]) {
      for (const inputs of [
        ['x', 'w', 'b'],
        ['x', 'w'],
      ]) {
        const node = { op: 'Gemm', inputs, attributes: { transB: intValue(transB) } };
        const { products } = await write(t, layerModel(node, constants(transB), [70]), recipe);
        assert.deepEqual(products, { layer: '2 bits, 64' });
      }
    }
  }
  const perRow = { op: 'Gemm', inputs: ['x', 'w', 'b'] };
  const matrixBias = { ...constants(0), b: randomTensor([2, 9], 5) };
  assert.deepEqual((await write(t, layerModel(perRow, matrixBias, [70]), FLOAT_INPUTS)).products, {});
});

test('a product whose result stays quantized gives it the same codes, and convolutions are as in a portable artifact', async (t) => {
  const model = tinyModel({
    inputs: [['x', 'float32', ['N', 64]]],
    outputs: [['y', 'float32', null]],
    nodes: [
      { op: 'Gemm', name: 'first', inputs: ['x', 'w1', 'b'], outputs: ['h'] },
      { op: 'Relu', name: 'relu', inputs: ['h'], outputs: ['r'] },
      { op: 'Gemm', name: 'second', inputs: ['r', 'w2'], outputs: ['y'] },
    ],
    constants: { w1: randomTensor([64, 96], 1, 0.3), b: randomTensor([96], 2), w2: randomTensor([96, 10], 3, 0.3) },
    opset: 17,
  });
  const { products, artifact } = await write(t, model, {});
  assert.deepEqual(products, { first: '2 bits, 64', second: '2 bits, 64' });
  assert.ok(!artifact.graph.nodes.some(({ opType }) => opType === 'Relu'));
  const small = await write(t, smallNetwork(), {});
  assert.deepEqual(small.products, { classifier: '2 bits, 64' });
  assert.ok(small.artifact.graph.nodes.some(({ opType }) => opType === 'Conv'));
});

test('codes lie lowest bits first, with half the range added, and blocks are padded with zeros', async (t) => {
  const weights = Float32Array.from({ length: 33 }, (_, i) => [1, 0, -1][i % 3]!);
  const w: Tensor = {
    dtype: 'float32',
    shape: [33, 1],
    data: { kind: 'memory', bytes: new Uint8Array(weights.buffer) },
  };
  const model = layerModel({ op: 'MatMul', inputs: ['x', 'w'] }, { w }, [33]);
  const { artifact } = await write(t, model, { ...FLOAT_INPUTS, weights: { groupSize: 32 } });
  const node = artifact.graph.nodes.find(({ opType }) => opType === 'MatMulNBits')!;
  const [packed, scales] = node.inputs.slice(1, 3).map((name) => artifact.graph.initializers.get(name)!);
  assert.deepEqual(packed!.shape, [1, 2, 8]);
  assert.deepEqual(scales!.shape, [1, 2]);
  const bytes = await readTensor(packed!);
  assert.equal(bytes[0], 0b11_01_10_11, '1, 0, −1, 1 plus 2');
  assert.deepEqual([...bytes.subarray(8)], [0b10_10_10_01, ...new Array(7).fill(0b10_10_10_10)]);
  assert.deepEqual(new Float32Array((await readTensor(scales!)).slice().buffer), Float32Array.of(1, 1));
});
