import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type Recipe, resolveRecipe } from '@tritforge/contracts';
import { settleActivationBits } from '../activations/activation-bits.js';
import { planActivations } from '../activations/plan-activations.js';
import { planFeeds } from '../data/feed-plan.js';
import { tensorFromFloats } from '../ir/index.js';
import { findLayers } from '../layers/find-layers.js';
import { planLayers } from '../layers/plan-layers.js';
import { createOnnxRuntime } from '../runtime/onnx-runtime.js';
import { floats, memoryDataset } from '../testing/memory-dataset.js';
import { gaussian, seededRandom } from '../testing/random.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { tinyModel } from '../testing/tiny-model.js';
import { calibrateActivations } from './calibrate-activations.js';
import { ProgressMeter } from './progress-meter.js';

const SAMPLES = 40;
const CHANNELS = 8;
const PIXELS = 64;
const OUTLIER = 60;

/**
 * x → first → second → third, 1×1. x is normal but for a few large values in channel 0. With a fork `beside` takes what `second`
 * takes, and hears channel 0 alone.
 */
async function calibrated(t: TestContext, recipe: Recipe, weightOfOutliers: number, isForked = false) {
  const identity = Float32Array.from({ length: CHANNELS ** 2 }, (_, i) => (i % (CHANNELS + 1) === 0 ? 1 : 0));
  const normal = gaussian(seededRandom(9));
  const weights = identity.map((_, i) => (i % CHANNELS === 0 ? weightOfOutliers : normal()));
  const outliers = identity.map((_, i) => (i % CHANNELS === 0 ? 1 : 0));
  const conv = (name: string, from: string, weight: string) => ({
    op: 'Conv',
    name,
    inputs: [from, weight],
    outputs: [name],
  });
  const model = tinyModel({
    inputs: [['x', 'float32', ['N', CHANNELS, PIXELS, 1]]],
    outputs: [['third', 'float32', null], ...(isForked ? [['beside', 'float32', null] as const] : [])],
    nodes: [
      conv('first', 'x', 'identity'),
      conv('second', 'first', 'w'),
      ...(isForked ? [conv('beside', 'first', 'outliers')] : []),
      conv('third', 'second', 'w'),
    ],
    constants: {
      identity: tensorFromFloats([CHANNELS, CHANNELS, 1, 1], identity),
      w: tensorFromFloats([CHANNELS, CHANNELS, 1, 1], weights),
      outliers: tensorFromFloats([CHANNELS, CHANNELS, 1, 1], outliers),
    },
  });
  const x = Float32Array.from({ length: SAMPLES * CHANNELS * PIXELS }, (_, i) =>
    i % (CHANNELS * PIXELS) === 5 ? OUTLIER : normal(),
  );
  const dataset = memoryDataset({ x: floats([SAMPLES, CHANNELS, PIXELS, 1], x) });
  const resolved = resolveRecipe({ method: 'int8', ...recipe });
  const wanted = planLayers(findLayers(model).layers, resolved);
  const activations = await planActivations(model.graph, wanted, resolved.activations.shortcuts);
  const scratchDir = temporaryFolder(t);
  const context = { runtime: createOnnxRuntime() };
  const meter = new ProgressMeter(context, new Map());
  meter.begin('calibrate', 1, 'samples');
  const feedPlan = planFeeds(model.graph.inputs, dataset.summary, null);
  return calibrateActivations({
    prepared: model,
    layers: settleActivationBits(wanted, activations),
    activations,
    recipe: resolved,
    data: { calibration: { dataset, feedPlan, digest: '' }, evaluation: null, training: null, close: async () => {} },
    request: { modelPath: '', recipe, outputDir: '', fileStem: '', scratchDir },
    context,
    meter,
  });
}

test('auto gives up outliers where the layer behind them does without, and keeps them where it does not', async (t) => {
  const topOf = async (recipe: Recipe, weightOfOutliers: number) => {
    const { scale, zeroPoint, maxCode } = (await calibrated(t, recipe, weightOfOutliers)).scales.get('first')!;
    return (maxCode - zeroPoint) * scale;
  };
  const auto: Recipe = { activations: { bits: 4, range: 'auto', minimumSqnrDb: null } };
  assert.ok((await topOf({ activations: { bits: 4, range: 'mse', minimumSqnrDb: null } }, 0)) > OUTLIER / 2);
  assert.ok((await topOf(auto, 0)) < OUTLIER / 4);
  assert.ok((await topOf(auto, 3)) > OUTLIER / 2);
});

test('the int8 model to compare with has 8 bits for every value, by the same method', async (t) => {
  for (const range of ['mse', 'auto'] as const) {
    const four = await calibrated(t, { activations: { bits: 4, range, minimumSqnrDb: null } }, 1);
    const eight = await calibrated(t, { activations: { bits: 8, range } }, 1);
    assert.deepEqual(four.eightBitScales, eight.eightBitScales);
    assert.deepEqual(eight.scales, eight.eightBitScales);
    const maxCodes = [...four.scales].map(([name, { maxCode }]) => [name, maxCode]);
    assert.deepEqual(Object.fromEntries(maxCodes), { x: 255, first: 15, second: 255, third: 255 });
  }
});

test('a layer that 4 bits cost too much has 8-bit inputs, and the reason says by how much', async (t) => {
  const secondOf = async (minimumSqnrDb: number | null, rules: Recipe = {}) => {
    const found = await calibrated(t, { activations: { bits: 4, minimumSqnrDb }, ...rules }, 0);
    const { applied, reason } = found.layers.find(({ layer }) => layer.node.name === 'second')!;
    const { maxCode } = found.scales.get('first')!;
    assert.equal(maxCode, applied.activationBits === 4 ? 15 : 255);
    assert.equal(found.activations.maxCodes.get('first'), maxCode);
    if (maxCode === 255) assert.deepEqual(found.scales.get('first'), found.eightBitScales.get('first'));
    return { bits: applied.activationBits, reason };
  };
  // The outliers, which the layer ignores, leave a level or two for everything else.
  const { bits, reason } = await secondOf(20);
  assert.equal(bits, 8);
  assert.match(reason!, /^8-bit activations: with 4 bits the output has -?\d\.\d dB of signal to noise, below 20$/);
  assert.deepEqual(await secondOf(null), { bits: 4, reason: null });
  const rule = { match: { name: 'second' }, set: { activationBits: 4 as const } };
  assert.deepEqual(await secondOf(20, { layers: [rule] }), { bits: 4, reason: null });
});

test('2 bits fall back to 8 only where the recipe says from which noise on', async (t) => {
  const layerOf = async (activations: Recipe['activations'], name: string) => {
    const found = await calibrated(t, { activations: { bits: 2, ...activations } }, 0);
    const { applied, reason } = found.layers.find(({ layer }) => layer.node.name === name)!;
    return { bits: applied.activationBits, maxCode: found.scales.get('first')!.maxCode, reason };
  };
  assert.deepEqual(await layerOf({}, 'second'), { bits: 2, maxCode: 3, reason: null });
  const { bits, maxCode, reason } = await layerOf({ minimumSqnrDb: 20 }, 'second');
  assert.deepEqual([bits, maxCode], [8, 255]);
  assert.match(reason!, /^8-bit activations: with 2 bits the output has /);
});

test('layers that take the values of one that falls back get 8 bits with it', async (t) => {
  const found = await calibrated(t, { activations: { bits: 4, minimumSqnrDb: 10 } }, 0, true);
  const reasons = new Map(found.layers.map(({ layer, reason }) => [layer.node.name, reason]));
  assert.match(reasons.get('second')!, /dB of signal to noise/);
  assert.equal(reasons.get('beside'), '8-bit activations: second takes the same values with 8 bits');
});

test('with wide shortcuts a layer that falls back parts from the others, which keep the range of their few bits', async (t) => {
  const found = await calibrated(t, { activations: { bits: 4, minimumSqnrDb: 10, shortcuts: 'wide' } }, 0, true);
  const bits = new Map(found.layers.map(({ layer, applied }) => [layer.node.name, applied.activationBits]));
  assert.deepEqual([bits.get('second'), bits.get('beside')], [8, 4]);
  assert.deepEqual([found.scales.get('first')!.maxCode, found.scales.get('first_4bit')!.maxCode], [255, 15]);
  assert.equal(found.eightBitScales.has('first_4bit'), false);
  const all = await calibrated(t, { activations: { bits: 4, minimumSqnrDb: null, shortcuts: 'wide' } }, 0, true);
  assert.deepEqual(found.scales.get('first_4bit'), all.scales.get('first'));
});
