import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type Recipe, resolveRecipe } from '@tritforge/contracts';
import { settleActivationBits } from '../activations/activation-bits.js';
import { planActivations } from '../activations/plan-activations.js';
import type { ValueRange } from '../calibrate/value-range.js';
import { planFeeds } from '../data/feed-plan.js';
import { intsValue, type Model, tensorFromFloats } from '../ir/index.js';
import { findLayers } from '../layers/find-layers.js';
import { planLayers } from '../layers/plan-layers.js';
import { createOnnxRuntime } from '../runtime/onnx-runtime.js';
import { floats, memoryDataset } from '../testing/memory-dataset.js';
import { gaussian, seededRandom } from '../testing/random.js';
import { randomTensor } from '../testing/random-tensor.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { tinyModel } from '../testing/tiny-model.js';
import { measureRanges } from './measure-ranges.js';

const SAMPLES = 10;
const CHANNELS = 4;
const normal = gaussian(seededRandom(21));
const samples = Float32Array.from({ length: SAMPLES * CHANNELS }, normal);
const w1 = Float32Array.from({ length: CHANNELS * CHANNELS }, normal);
const w2 = Float32Array.from({ length: CHANNELS * CHANNELS }, normal);

/** A range by its quantization; what was seen plays no part here. */
function trial(scale: number, zeroPoint: number, maxCode: 255 | 15 = 255): ValueRange {
  return { min: 0, max: 0, chosenMin: 0, chosenMax: 0, scale: Math.fround(scale), zeroPoint, maxCode };
}

async function measure(
  t: TestContext,
  model: Model,
  shape: readonly number[],
  trials: Record<string, readonly ValueRange[]>,
  recipe: Recipe = { method: 'int8' },
) {
  const wanted = planLayers(findLayers(model).layers, resolveRecipe(recipe));
  const plan = await planActivations(model.graph, wanted, 'narrow');
  settleActivationBits(wanted, plan);
  const dataset = memoryDataset({ x: floats([SAMPLES, ...shape], samples) });
  return measureRanges({
    model,
    plan,
    trials: new Map(Object.entries(trials)),
    dataset,
    feedPlan: planFeeds(model.graph.inputs, dataset.summary, null),
    runtime: createOnnxRuntime(),
    scratchDir: temporaryFolder(t),
  });
}

const quantized = (x: number, { scale, zeroPoint, maxCode }: ValueRange) =>
  (Math.min(maxCode, Math.max(0, Math.round(x / scale) + zeroPoint)) - zeroPoint) * scale;
const product = (row: readonly number[], weight: Float32Array) =>
  Array.from({ length: CHANNELS }, (_, o) => row.reduce((sum, x, i) => sum + x * weight[o * CHANNELS + i]!, 0));
const relu = (row: readonly number[]) => row.map((x) => Math.max(0, x));
const near = (actual: number, expected: number) =>
  assert.ok(Math.abs(actual - expected) <= 1e-4 * expected, `${actual} is not ${expected}`);

test('noise and signal are those of the layer behind its Relu, on the quantized input', async (t) => {
  const model = tinyModel({
    inputs: [['x', 'float32', ['N', CHANNELS, 1, 1]]],
    outputs: [['y', 'float32', null]],
    nodes: [
      { op: 'Conv', name: 'first', inputs: ['x', 'w1'], outputs: ['c1'] },
      { op: 'Relu', inputs: ['c1'], outputs: ['h'] },
      { op: 'Conv', name: 'second', inputs: ['h', 'w2'], outputs: ['y'] },
    ],
    constants: {
      w1: tensorFromFloats([CHANNELS, CHANNELS, 1, 1], w1),
      w2: tensorFromFloats([CHANNELS, CHANNELS, 1, 1], w2),
    },
  });
  const inputs = [trial(0.03, 120), trial(0.4, 7, 15)];
  const hidden = [trial(0.02, 0)];
  const errors = await measure(t, model, [CHANNELS, 1, 1], { x: inputs, h: hidden, y: [trial(0.05, 128)] });

  const rows = Array.from({ length: SAMPLES }, (_, i) => [...samples.subarray(i * CHANNELS, (i + 1) * CHANNELS)]);
  const power = (of: (row: readonly number[]) => readonly number[]) =>
    rows.flatMap(of).reduce((sum, value) => sum + value * value, 0);
  const difference = (a: readonly number[], b: readonly number[]) => a.map((value, i) => value - b[i]!);
  const h = (row: readonly number[]) => relu(product(row, w1));
  const y = (row: readonly number[]) => product(h(row), w2);

  const [first] = errors.get('x')!;
  assert.equal(first!.node!.name, 'first');
  near(first!.signal, power(h));
  for (const [i, range] of inputs.entries())
    near(
      first!.noises[i]!,
      power((row) => difference(h(row), h(row.map((x) => quantized(x, range))))),
    );
  const [second] = errors.get('h')!;
  assert.equal(second!.node!.name, 'second');
  near(second!.signal, power(y));
  near(
    second!.noises[0]!,
    power((row) =>
      difference(
        y(row),
        product(
          h(row).map((x) => quantized(x, hidden[0]!)),
          w2,
        ),
      ),
    ),
  );
  const [own, ...others] = errors.get('y')!;
  assert.deepEqual([own!.node, others.length], [null, 0], 'nothing takes y in, so it is judged itself');
  near(
    own!.noises[0]!,
    power((row) => y(row).map((x) => x - quantized(x, trial(0.05, 128)))),
  );
});

test('all layers and integer operators that read the value, moved or not, are measured', async (t) => {
  const conv = (name: string, from: string) => ({ op: 'Conv', name, inputs: [from, 'w'], outputs: [name] });
  const model = tinyModel({
    inputs: [['x', 'float32', ['N', CHANNELS, 1, 1]]],
    outputs: [['y', 'float32', null]],
    nodes: [
      conv('a', 'x'),
      conv('b', 'a'),
      { op: 'Add', name: 'sum', inputs: ['b', 'a'], outputs: ['s'] },
      {
        op: 'MaxPool',
        name: 'pool',
        inputs: ['a'],
        outputs: ['p'],
        attributes: { kernel_shape: intsValue([1, 1]) },
      },
      conv('c', 'p'),
      { op: 'Add', name: 'join', inputs: ['s', 'c'], outputs: ['j'] },
      conv('y', 'j'),
    ],
    constants: { w: randomTensor([CHANNELS, CHANNELS, 1, 1], 5) },
  });
  const errors = await measure(t, model, [CHANNELS, 1, 1], { a: [trial(0.1, 128), trial(0.01, 128)] });
  assert.deepEqual(
    errors.get('a')!.map(({ node }) => node!.name),
    ['b', 'sum', 'c'],
  );
  for (const { noises, signal } of errors.get('a')!) {
    assert.ok(noises[0]! > 0 && noises[0]! < 0.01 * signal);
    assert.ok(noises[1]! > noises[0]!, 'the second trial clips');
  }
});

test('a value in a network of matrix products is measured on samples of any length', async (t) => {
  const model = tinyModel({
    inputs: [['x', 'float32', ['N', CHANNELS]]],
    outputs: [['y', 'float32', null]],
    nodes: [
      { op: 'MatMul', name: 'first', inputs: ['x', 'w'], outputs: ['m'] },
      { op: 'Tanh', inputs: ['m'], outputs: ['h'] },
      { op: 'MatMul', name: 'second', inputs: ['h', 'w'], outputs: ['y'] },
    ],
    constants: { w: randomTensor([CHANNELS, CHANNELS], 5) },
  });
  const errors = await measure(t, model, [CHANNELS], { h: [trial(1 / 127, 128), trial(1 / 7, 8, 15)] });
  const [second] = errors.get('h')!;
  const decibels = [...second!.noises].map((noise) => 10 * Math.log10(second!.signal / noise));
  assert.ok(decibels[0]! - decibels[1]! > 18 && decibels[0]! - decibels[1]! < 32, `${decibels}`);
});
