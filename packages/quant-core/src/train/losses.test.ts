import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { knownShapes } from '../autodiff/gradients.js';
import { ShapedBuilder } from '../autodiff/shaped-builder.js';
import { runWhole } from '../prefix/testing.js';
import { floats } from '../testing/memory-dataset.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { tinyModel } from '../testing/tiny-model.js';
import { crossEntropy, distillation, squaredError } from './losses.js';

const SHAPE = [2, 2, 3];
const A = [1, -2, 0.5, 0, 3, 1, -1, -1, 4, 2, 2, 2];
const B = [0.5, -1, 0, 1, 2, 1, -1, 0, 3, 0, 2, 1];

/** The value of a loss on two inputs a and b. */
async function lossOf(
  t: TestContext,
  add: (b: ShapedBuilder) => string,
  [a, b]: readonly [readonly number[], readonly number[]] = [A, B],
): Promise<number> {
  const model = tinyModel({
    inputs: [
      ['a', 'float32', SHAPE],
      ['b', 'float32', SHAPE],
    ],
    outputs: [],
    nodes: [],
  });
  const builder = new ShapedBuilder(model, knownShapes(model));
  const loss = add(builder);
  assert.deepEqual(builder.shapeOf(loss), []);
  const graph = { ...model.graph, nodes: [...builder.nodes], initializers: new Map(builder.initializers) };
  const feeds = new Map([
    ['a', floats(SHAPE, a)],
    ['b', floats(SHAPE, b)],
  ]);
  const [outputs] = await runWhole({ ...model, graph }, [loss], [feeds], temporaryFolder(t));
  return (outputs!.get(loss)!.data as Float32Array)[0]!;
}

const rows = (values: readonly number[]) => [0, 3, 6, 9].map((i) => values.slice(i, i + 3));

function softmax(row: readonly number[], temperature = 1): number[] {
  const exponentials = row.map((value) => Math.exp(value / temperature));
  const total = exponentials.reduce((sum, value) => sum + value, 0);
  return exponentials.map((value) => value / total);
}

const near = (actual: number, expected: number) =>
  assert.ok(Math.abs(actual - expected) < 1e-5 * Math.max(1, Math.abs(expected)), `${actual}, not ${expected}`);

function divergence(p: readonly number[], q: readonly number[]): number {
  return p.reduce((sum, value, c) => sum + value * Math.log(value / q[c]!), 0);
}

test('distillation is the divergence of the softened probabilities, in the scale of unsoftened gradients', async (t) => {
  for (const temperature of [1, 4]) {
    const expected = rows(A).map((row, i) => divergence(softmax(rows(B)[i]!, temperature), softmax(row, temperature)));
    const loss = await lossOf(t, (b) =>
      distillation(b, { student: 'a', teacher: 'b', temperature, isProbability: false }),
    );
    near(loss, (temperature ** 2 * expected.reduce((sum, value) => sum + value, 0)) / 4);
  }
});

test('outputs that are probabilities are compared as they are, zeros among them', async (t) => {
  const p = [0.2, 0.3, 0.5, 1, 0, 0, 0.1, 0.9, 0, 0.4, 0.3, 0.3];
  const q = [0.5, 0.25, 0.25, 0.8, 0.1, 0.1, 0.3, 0.5, 0.2, 0.4, 0.3, 0.3];
  const loss = await lossOf(
    t,
    (b) => distillation(b, { student: 'a', teacher: 'b', temperature: 3, isProbability: true }),
    [q, p],
  );
  const expected = rows(p).map((row, i) =>
    row.reduce((sum, value, c) => sum + (value === 0 ? 0 : value * Math.log(value / rows(q)[i]![c]!)), 0),
  );
  near(loss, expected.reduce((sum, value) => sum + value, 0) / 4);
});

test('cross-entropy is the mean of the negative logarithms of what the labels got', async (t) => {
  const labels = [0, 1, 2, 0];
  const oneHot = labels.flatMap((label) => [0, 1, 2].map((c) => (c === label ? 1 : 0)));
  const loss = await lossOf(t, (b) => crossEntropy(b, 'a', 'b'), [A, oneHot]);
  near(loss, rows(A).reduce((sum, row, i) => sum - Math.log(softmax(row)[labels[i]!]!), 0) / 4);
});

test('the squared error is relative to the target', async (t) => {
  const squares = (values: readonly number[]) => values.reduce((sum, value) => sum + value * value, 0);
  near(await lossOf(t, (b) => squaredError(b, 'a', 'b')), squares(A.map((value, i) => value - B[i]!)) / squares(B));
});
