import assert from 'node:assert/strict';
import { test } from 'node:test';
import { floatValue, intValue } from '../../ir/index.js';
import { tinyModel } from '../../testing/tiny-model.js';
import { differentiate } from '../gradients.js';
import { checkGradient } from '../testing/check-gradient.js';

const [M, K, N] = [3, 5, 4];

for (const transA of [0, 1])
  for (const transB of [0, 1])
    test(`Gemm differentiates by all inputs with transA = ${transA} and transB = ${transB}`, async (t) => {
      const attributes = { transA: intValue(transA), transB: intValue(transB) };
      const inputs = [transA ? [K, M] : [M, K], transB ? [N, K] : [K, N]];
      const scaled = { ...attributes, alpha: floatValue(0.7), beta: floatValue(-1.3) };
      await checkGradient(t, { node: { op: 'Gemm', attributes }, inputs: [...inputs, [N]] });
      await checkGradient(t, { node: { op: 'Gemm', attributes: scaled }, inputs: [...inputs, [M, N]] });
    });

test('Gemm sums the gradient of C over what was broadcast, and works without C', async (t) => {
  const node = { op: 'Gemm', attributes: { alpha: floatValue(1.5), beta: floatValue(0.5) } };
  const operands = [
    [M, K],
    [K, N],
  ];
  for (const c of [[], [1], [N], [1, N], [M, 1], [1, 1]]) await checkGradient(t, { node, inputs: [...operands, c] });
  await checkGradient(t, { node, inputs: operands });
  await checkGradient(t, { node, inputs: operands, constants: [null] });
});

/** Shapes of a and b, by what is particular about them. */
const PRODUCTS: readonly (readonly [what: string, a: readonly number[], b: readonly number[]])[] = [
  ['matrices', [M, K], [K, N]],
  ['two vectors', [K], [K]],
  ['a vector and a matrix', [K], [K, N]],
  ['a matrix and a vector', [M, K], [K]],
  ['a vector and a batch', [K], [2, 3, K, N]],
  ['a batch and a vector', [2, 3, M, K], [K]],
  ['a batch and a matrix', [2, 3, M, K], [K, N]],
  ['a matrix and a batch', [M, K], [2, 3, K, N]],
  ['a batch and a batch of one', [2, M, K], [1, 1, K, N]],
  ['a batch of one and a batch', [1, 1, M, K], [2, K, N]],
  ['batches of one', [1, M, K], [1, 1, K, N]],
  ['batches', [2, 3, M, K], [2, 3, K, N]],
  ['batches that are broadcast both ways', [2, 1, M, K], [3, K, N]],
  ['a batch that misses an axis', [3, M, K], [2, 3, K, N]],
  ['rows and columns of one element', [2, 3, 1, K], [2, 1, K, 1]],
];

for (const [what, a, b] of PRODUCTS)
  test(`MatMul differentiates the product of ${what}: [${a}] and [${b}]`, async (t) => {
    await checkGradient(t, { node: { op: 'MatMul' }, inputs: [a, b] });
  });

async function backwardNodes(a: readonly number[], b: readonly number[], wrt: string): Promise<string[]> {
  const { model } = await differentiate(
    tinyModel({
      inputs: [
        ['a', 'float32', a],
        ['b', 'float32', b],
      ],
      outputs: [['loss', 'float32', []]],
      nodes: [
        { op: 'MatMul', inputs: ['a', 'b'], outputs: ['y'] },
        { op: 'ReduceSum', inputs: ['y'], outputs: ['loss'], attributes: { keepdims: intValue(0) } },
      ],
    }),
    { loss: 'loss', wrt: [wrt] },
  );
  return model.graph.nodes.slice(2).map(({ opType }) => opType);
}

test('the gradient of a weight that a batch is multiplied with is one product, and nothing is added for what is not wanted', async () => {
  const products = ['Gemm', 'MatMul', 'ReduceSum'];
  const count = async (a: readonly number[], b: readonly number[], wrt: string) =>
    (await backwardNodes(a, b, wrt)).filter((op) => products.includes(op));
  assert.deepEqual(await count([2, 3, M, K], [K, N], 'b'), ['Gemm']);
  assert.deepEqual(await count([M, K], [2, 3, K, N], 'a'), ['Gemm']);
  assert.deepEqual(await count([2, 3, M, K], [K, N], 'a'), ['Gemm']);
  assert.deepEqual(await count([M, K], [2, 3, K, N], 'b'), ['MatMul']);
});
