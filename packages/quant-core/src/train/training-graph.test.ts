import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { readFloats } from '../ir/index.js';
import { runWhole } from '../prefix/testing.js';
import { floats } from '../testing/memory-dataset.js';
import { gaussian, seededRandom } from '../testing/random.js';
import { randomTensor } from '../testing/random-tensor.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { tinyModel } from '../testing/tiny-model.js';
import { crossEntropy } from './losses.js';
import { buildTrainingGraph, type TrainingGraph } from './training-graph.js';

const BATCH = 6;
const CLASSES = 3;

/** Two layers; all but the second bias is trained. */
function network() {
  return tinyModel({
    inputs: [['x', 'float32', ['N', 4]]],
    outputs: [['scores', 'float32', ['N', CLASSES]]],
    nodes: [
      { op: 'Gemm', inputs: ['x', 'w1', 'b1'], outputs: ['h'] },
      { op: 'Tanh', inputs: ['h'], outputs: ['a'] },
      { op: 'Gemm', inputs: ['a', 'w2', 'b2'], outputs: ['scores'] },
    ],
    constants: {
      w1: randomTensor([4, 5], 1),
      b1: randomTensor([5], 2),
      w2: randomTensor([5, CLASSES], 3),
      b2: randomTensor([CLASSES], 4),
    },
  });
}

function build(): Promise<TrainingGraph> {
  return buildTrainingGraph(network(), {
    parameters: ['w1', 'b1', 'w2'],
    targets: [{ name: 'labels', dtype: 'float32', shape: ['N', CLASSES] }],
    symbols: new Map([['N', BATCH]]),
    addLoss: (b) => crossEntropy(b, 'scores', 'labels'),
  });
}

async function run(
  t: TestContext,
  { model, parameterInput, lossOutput, gradientOutput }: TrainingGraph,
  vector: Float32Array,
) {
  const next = gaussian(seededRandom(9));
  const feeds = new Map([
    [
      'x',
      floats(
        [BATCH, 4],
        Array.from({ length: 4 * BATCH }, () => next()),
      ),
    ],
    [
      'labels',
      floats(
        [BATCH, CLASSES],
        Array.from({ length: CLASSES * BATCH }, (_, i) => (i % 4 === 0 ? 1 : 0)),
      ),
    ],
    [parameterInput, floats([vector.length], vector)],
  ]);
  const [outputs] = await runWhole(model, [lossOutput, gradientOutput], [feeds], temporaryFolder(t));
  const take = (name: string) => outputs!.get(name)!.data as Float32Array;
  return { loss: take(lossOutput)[0]!, gradient: take(gradientOutput) };
}

async function startOf({ parameters }: TrainingGraph): Promise<Float32Array> {
  const { initializers } = network().graph;
  const parts = await Promise.all(parameters.map(({ name }) => readFloats(initializers.get(name)!)));
  return Float32Array.from(parts.flatMap((part) => [...part]));
}

test('parameters go in and gradients come out as one vector, in the order that was asked for', async (t) => {
  const graph = await build();
  assert.deepEqual(
    graph.parameters.map(({ name, offset, length }) => [name, offset, length]),
    [
      ['w1', 0, 20],
      ['b1', 20, 5],
      ['w2', 25, 15],
    ],
  );
  const start = await startOf(graph);
  const { loss, gradient } = await run(t, graph, start);
  assert.equal(gradient.length, 40);
  // Down the gradient the loss falls by its square, to first order.
  const step = 1e-2;
  const below = await run(
    t,
    graph,
    start.map((value, i) => value - step * gradient[i]!),
  );
  const square = gradient.reduce((sum, value) => sum + value * value, 0);
  assert.ok(Math.abs((loss - below.loss) / (step * square) - 1) < 0.05, `${loss} to ${below.loss}`);
});

test('the network that was given stays as it was', async () => {
  const given = network();
  const before = [given.graph.nodes.length, given.graph.initializers.size, given.graph.inputs.length];
  await buildTrainingGraph(given, {
    parameters: ['w1'],
    targets: [{ name: 'labels', dtype: 'float32', shape: ['N', CLASSES] }],
    symbols: new Map([['N', 2]]),
    addLoss: (b) => crossEntropy(b, 'scores', 'labels'),
  });
  assert.deepEqual([given.graph.nodes.length, given.graph.initializers.size, given.graph.inputs.length], before);
});
