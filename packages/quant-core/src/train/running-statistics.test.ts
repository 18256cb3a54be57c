import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { runWhole } from '../prefix/testing.js';
import { floats } from '../testing/memory-dataset.js';
import { gaussian, seededRandom } from '../testing/random.js';
import { randomTensor } from '../testing/random-tensor.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { tinyModel } from '../testing/tiny-model.js';
import { inTrainingMode, normalizations, PooledStatistics, statisticsGraph } from './running-statistics.js';

const [BATCHES, BATCH, CHANNELS, PIXELS] = [5, 4, 3, 6];
const EPSILON = 1e-5;

/** Two normalizations one after the other. */
function network() {
  const vector = (seed: number, shift = 0) => randomTensor([CHANNELS], seed, 0.5, shift);
  return tinyModel({
    inputs: [['x', 'float32', ['N', CHANNELS, 2, 3]]],
    outputs: [['y', 'float32', ['N', CHANNELS, 2, 3]]],
    nodes: [
      { op: 'BatchNormalization', inputs: ['x', 'g1', 'b1', 'm1', 'v1'], outputs: ['n1'] },
      { op: 'Relu', inputs: ['n1'], outputs: ['r'] },
      { op: 'BatchNormalization', inputs: ['r', 'g2', 'b2', 'm2', 'v2'], outputs: ['y'] },
    ],
    constants: {
      g1: vector(1, 1),
      b1: vector(2, 0.3),
      m1: vector(3),
      v1: vector(4, 2),
      g2: vector(5, 1),
      b2: vector(6),
      m2: vector(7),
      v2: vector(8, 2),
    },
  });
}

/** Means far from zero, so that what cancels shows. */
function batches(): Float32Array[] {
  const next = gaussian(seededRandom(3));
  const length = BATCH * CHANNELS * PIXELS;
  return Array.from({ length: BATCHES }, (_, batch) => Float32Array.from({ length }, () => 20 + batch + next()));
}

const feedsOf = (data: Float32Array) => new Map([['x', floats([BATCH, CHANNELS, 2, 3], data)]]);
const channelOf = (i: number) => Math.floor(i / PIXELS) % CHANNELS;

/** Means, then variances over all elements of each channel, in float64. */
function moments(values: readonly ArrayLike<number>[]): number[] {
  const all = Array.from({ length: CHANNELS }, (_, c) =>
    values.flatMap((part) => Array.from(part).filter((_, i) => channelOf(i) === c)),
  );
  const means = all.map((own) => own.reduce((sum, value) => sum + value, 0) / own.length);
  const variances = all.map((own, c) => own.reduce((sum, value) => sum + (value - means[c]!) ** 2, 0) / own.length);
  return [...means, ...variances];
}

/** Of the first normalization and the rectifier, by the statistics of the batch, in float64. */
function rectified(batch: Float32Array, gain: readonly number[], shift: readonly number[]): number[] {
  const own = moments([batch]);
  return Array.from(batch, (value, i) => {
    const c = channelOf(i);
    return Math.max(0, (gain[c]! * (value - own[c]!)) / Math.sqrt(own[CHANNELS + c]! + EPSILON) + shift[c]!);
  });
}

async function pooledOf(t: TestContext, data: readonly Float32Array[]): Promise<Float32Array> {
  const model = network();
  const graph = statisticsGraph(model, normalizations(model), new Map([['N', BATCH]]));
  const pooled = new PooledStatistics();
  for (const outputs of await runWhole(graph.model, [graph.output], data.map(feedsOf), temporaryFolder(t)))
    pooled.add(outputs.get(graph.output)!.data as Float32Array);
  return pooled.vector();
}

const valuesOf = (name: string) => {
  const { data } = network().graph.initializers.get(name)!;
  if (data.kind !== 'memory') throw new TypeError(name);
  return Array.from(new Float32Array(data.bytes.buffer, data.bytes.byteOffset, CHANNELS));
};

test('statistics over batches are those of all samples together, computed in float64', async (t) => {
  const data = batches();
  const pooled = await pooledOf(t, data);
  const first = moments(data);
  const second = moments(data.map((batch) => rectified(batch, valuesOf('g1'), valuesOf('b1'))));
  const expected = [...first.slice(0, 3), ...second.slice(0, 3), ...first.slice(3), ...second.slice(3)];
  assert.equal(pooled.length, expected.length);
  for (const [i, value] of expected.entries())
    assert.ok(Math.abs(pooled[i]! - value) < 1e-5 * Math.max(1, Math.abs(value)), `${i}: ${pooled[i]}, not ${value}`);
});

test('a network with the statistics of one batch computes of it what it did in training', async (t) => {
  const [batch] = batches();
  const pooled = await pooledOf(t, [batch!]);
  const model = network();
  for (const [i, name] of ['m1', 'm2', 'v1', 'v2'].entries()) {
    const { shape } = model.graph.initializers.get(name)!;
    const bytes = new Uint8Array(pooled.slice(i * CHANNELS, (i + 1) * CHANNELS).buffer);
    model.graph.initializers.set(name, { dtype: 'float32', shape, data: { kind: 'memory', bytes } });
  }
  const [outputs] = await runWhole(model, ['y'], [feedsOf(batch!)], temporaryFolder(t));
  const y = outputs!.get('y')!.data as Float32Array;
  const own = moments([y]);
  for (const [c, shift] of valuesOf('b2').entries()) {
    assert.ok(Math.abs(own[c]! - shift) < 1e-4, 'the mean of what was normalized is the shift');
    const deviation = Math.sqrt(own[CHANNELS + c]!);
    assert.ok(Math.abs(deviation - Math.abs(valuesOf('g2')[c]!)) < 1e-3, 'and its deviation the gain');
  }
});

test('only normalizations by constants are found, and training mode leaves the given network as it is', () => {
  const model = network();
  const found = normalizations(model);
  assert.deepEqual(
    found.map(({ mean, variance }) => [mean, variance]),
    [
      ['m1', 'v1'],
      ['m2', 'v2'],
    ],
  );
  const training = inTrainingMode(model, found.slice(1));
  const modes = ({ graph }: typeof model) => graph.nodes.map(({ attributes }) => attributes.has('training_mode'));
  assert.deepEqual(modes(training), [false, false, true]);
  assert.deepEqual(modes(model), [false, false, false]);
});
