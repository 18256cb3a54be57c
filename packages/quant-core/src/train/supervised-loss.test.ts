import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { knownShapes } from '../autodiff/gradients.js';
import { ShapedBuilder } from '../autodiff/shaped-builder.js';
import { elementCount } from '../ir/index.js';
import { runWhole } from '../prefix/testing.js';
import { floats, int64s } from '../testing/memory-dataset.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { tinyModel } from '../testing/tiny-model.js';
import { addSupervisedLoss, rowsOfSample, type SupervisedLoss, scoresOf } from './supervised-loss.js';

/** The loss of scores in a shape, with their classes on the given axis. */
async function lossOf(
  t: TestContext,
  { shape, scores, labels, teacher }: { shape: number[]; scores: number[]; labels: number[]; teacher?: number[] },
  { labelSmoothing, distillation }: SupervisedLoss,
): Promise<number> {
  const rows = rowsOfSample(shape).rows;
  const model = tinyModel({
    inputs: [
      ['s', 'float32', shape],
      ['l', 'int64', [shape[0]!, rows]],
      ['t', 'float32', shape],
    ],
    outputs: [],
    nodes: [],
  });
  const b = new ShapedBuilder(model, knownShapes(model));
  const loss = addSupervisedLoss(
    b,
    { scores: 's', labels: 'l', teacher: teacher === undefined ? null : 't' },
    { labelSmoothing, distillation },
  );
  const graph = { ...model.graph, nodes: [...b.nodes], initializers: new Map(b.initializers) };
  const feeds = new Map([
    ['s', floats(shape, scores)],
    ['l', int64s([shape[0]!, rows], labels)],
    ['t', floats(shape, teacher ?? new Float32Array(elementCount(shape)))],
  ]);
  const [outputs] = await runWhole({ ...model, graph }, [loss], [feeds], temporaryFolder(t));
  return (outputs!.get(loss)!.data as Float32Array)[0]!;
}

function softmax(row: readonly number[]): number[] {
  const total = row.reduce((sum, value) => sum + Math.exp(value), 0);
  return row.map((value) => Math.exp(value) / total);
}

const near = (actual: number, expected: number) =>
  assert.ok(Math.abs(actual - expected) < 1e-5, `${actual}, not ${expected}`);
const PLAIN: SupervisedLoss = { labelSmoothing: 0, distillation: null };
const A = [1, -2, 0.5];
const B = [0, 3, 1];

test('the loss of labels is the same wherever the output has its classes', async (t) => {
  const expected = -(Math.log(softmax(A)[0]!) + Math.log(softmax(B)[2]!)) / 2;
  const labels = [0, 2];
  near(await lossOf(t, { shape: [2, 3], scores: [...A, ...B], labels }, PLAIN), expected);
  near(await lossOf(t, { shape: [2, 3, 1, 1], scores: [...A, ...B], labels }, PLAIN), expected);
  near(await lossOf(t, { shape: [1, 2, 3], scores: [...A, ...B], labels }, PLAIN), expected);
  const planes = [0, 1, 2].flatMap((c) => [A[c]!, B[c]!]);
  near(await lossOf(t, { shape: [1, 3, 1, 2], scores: planes, labels }, PLAIN), expected);
});

test('smoothed labels ask for a share of every class, and rows without a label for nothing', async (t) => {
  const smoothed = [0, 1, 2].map((c) => 0.9 * (c === 1 ? 1 : 0) + 0.1 / 3);
  const expected = -smoothed.reduce((sum, share, c) => sum + share * Math.log(softmax(B)[c]!), 0) / 2;
  const loss = { labelSmoothing: 0.1, distillation: null };
  near(await lossOf(t, { shape: [2, 3], scores: [...A, ...B], labels: [-1, 1] }, loss), expected);
});

test('a teacher has the part of the loss that its weight says', async (t) => {
  const scores = { shape: [1, 3], scores: A, labels: [1], teacher: B };
  const teaching = (weight: number) => ({
    labelSmoothing: 0,
    distillation: { teacher: tinyModel({ inputs: [], outputs: [], nodes: [] }), weight, temperature: 1 },
  });
  const [p, q] = [softmax(B), softmax(A)];
  const divergence = p.reduce((sum, share, c) => sum + share * Math.log(share / q[c]!), 0);
  const byLabel = -Math.log(q[1]!);
  near(await lossOf(t, scores, teaching(1)), divergence);
  near(await lossOf(t, scores, teaching(0.25)), 0.25 * divergence + 0.75 * byLabel);
});

test('the scores are what goes into a last softmax, and outputs without classes are refused', () => {
  const ending = (op: string) =>
    tinyModel({
      inputs: [['x', 'float32', ['N', 4]]],
      outputs: [['y', 'float32', ['N', 4]]],
      nodes: [{ op, inputs: ['x'], outputs: ['y'] }],
    });
  assert.deepEqual(
    ['Softmax', 'LogSoftmax', 'Relu'].map((op) => scoresOf(ending(op))),
    ['x', 'x', 'y'],
  );
  for (const shape of [[5], [5, 1]])
    assert.throws(() => rowsOfSample(shape), { code: 'RECIPE_UNSUPPORTED', message: /no axis holds classes/ });
});
