import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { type TestContext, test } from 'node:test';
import { type Recipe, resolveRecipe } from '@tritforge/contracts';
import { sampleRuns } from '../calibrate/sample-runs.js';
import { openDataset, planFeeds } from '../data/index.js';
import { dequantize, ternarize, ternarizeTwice } from '../fgq/index.js';
import { dequantizeInt8, quantizeInt8 } from '../int8/index.js';
import { type Model, readFloats, tensorFromFloats } from '../ir/index.js';
import type { JobDataset } from '../pipeline/job-data.js';
import { countingRuntime, runWhole } from '../prefix/testing.js';
import { hostFloats } from '../runtime/host-floats.js';
import type { Feeds } from '../runtime/runtime.js';
import { quantizedNetwork } from '../testing/quantized-network.js';
import { SMALL_SAMPLES, smallNetwork, writeSmallNetwork } from '../testing/small-network.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { splitDataset } from './held-out.js';
import { findUnits } from './precisions.js';
import { measureSensitivities, type SensitivityOptions } from './sensitivity.js';

const NEAREST: Recipe = { weights: { solver: 'exact' }, correction: [] };
const HELD_OUT = [3, 7, 11, 15, 19, 23];

async function setUp(t: TestContext, recipe: Recipe, changes: Partial<SensitivityOptions> = {}) {
  const folder = temporaryFolder(t);
  const { datasetPath } = await writeSmallNetwork(folder);
  const dataset = await openDataset(datasetPath, { preprocess: null, scratchDir: folder });
  t.after(() => dataset.close());
  const { prepared, layers, activations, scales } = await quantizedNetwork(t, smallNetwork());
  const feedPlan = planFeeds(prepared.graph.inputs, dataset.summary, null);
  const data: JobDataset = { dataset, feedPlan, digest: 'sha256:0' };
  const resolved = resolveRecipe(recipe);
  const { runtime, ran } = countingRuntime();
  const sensitivities = await measureSensitivities({
    prepared,
    units: findUnits(
      layers.map(({ layer }) => layer),
      resolved,
    ),
    recipe: resolved,
    activations,
    scales,
    data: splitDataset(data),
    maxSamples: undefined,
    macs: null,
    runtime,
    scratchDir: folder,
    onUnit: () => {},
    ...changes,
  });
  const heldOut: Feeds[] = [];
  for await (const { feeds } of sampleRuns(dataset, feedPlan, HELD_OUT)) heldOut.push(feeds);
  return { ...sensitivities, prepared, heldOut, folder, ran };
}

function probabilities(logits: ArrayLike<number>): number[] {
  const powers = Array.from(logits, Math.exp);
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

/** Mean divergence of the logits of two whole models. */
async function divergence(original: Model, changed: Model, runs: readonly Feeds[], folder: string): Promise<number> {
  const [before, after] = [
    await runWhole(original, ['logits'], runs, folder),
    await runWhole(changed, ['logits'], runs, folder),
  ];
  let sum = 0;
  for (const [i, outputs] of before.entries()) {
    const [p, q] = [outputs, after[i]!].map((found) => probabilities(hostFloats(found.get('logits')!)));
    sum += p!.reduce((total, value, c) => total + value * Math.log(value / q![c]!), 0);
  }
  return sum / runs.length;
}

test('the damage of a precision is the divergence of the whole network with that layer alone quantized', async (t) => {
  const { units, measure, samples, prepared, heldOut, folder } = await setUp(t, NEAREST);
  assert.equal(measure, 'kl');
  assert.equal(samples, HELD_OUT.length);
  for (const { unit, candidates } of units) {
    const [layer] = unit.layers;
    if (layer.transposed) continue;
    const weights = await readFloats(layer.weight);
    for (const { precision, damage } of candidates.filter((candidate) => candidate.precision.bits !== 4)) {
      const { bits, groupSize, planes } = precision;
      const decoded =
        bits === 8
          ? dequantizeInt8(quantizeInt8(weights, layer.layout))
          : dequantize((planes === 2 ? ternarizeTwice : ternarize)(weights, layer.layout, groupSize!));
      const initializers = new Map(prepared.graph.initializers);
      initializers.set(layer.weightName, tensorFromFloats(layer.weight.shape, decoded));
      const changed = { ...prepared, graph: { ...prepared.graph, initializers } };
      const expected = await divergence(prepared, changed, heldOut, folder);
      assert.ok(
        Math.abs(damage - expected) < 0.01 * expected + 1e-7,
        `${layer.node.name} with ${JSON.stringify(precision)}: ${damage} is not ${expected}`,
      );
    }
  }
});

test('layers with one input channel per output channel stay at 8 bits, and rules settle layers', async (t) => {
  const { units } = await setUp(t, {
    ...NEAREST,
    layers: [
      { match: { name: 'left' }, set: { bits: 2, groupSize: 8 } },
      { match: { name: 'right' }, set: { exclude: true } },
    ],
  });
  const precisions = new Map(units.map(({ unit }) => [unit.layers[0].node.name, unit.precisions]));
  assert.deepEqual(precisions.get('depthwise'), [{ bits: 8, groupSize: null, planes: null }]);
  assert.deepEqual(
    precisions.get('left')!.map(({ bits, groupSize, planes }) => [bits, groupSize, planes]),
    [
      [2, 8, 1],
      [2, 8, 2],
    ],
  );
  assert.equal(precisions.has('right'), false);
  assert.ok(precisions.get('down')!.length > 3);
});

test('nodes before a layer run once per sample, however many layers and precisions there are', async (t) => {
  const { ran, units } = await setUp(t, NEAREST);
  const runs = (suffix: string) => [...ran].find(([name]) => name.endsWith(suffix))![1];
  // On all samples for fitting, and on those kept aside for the layers behind it; and once to find the outputs.
  const [stem] = units;
  const trials = stem!.candidates.length + 2;
  assert.equal(runs('stem'), SMALL_SAMPLES + 1 + HELD_OUT.length * trials);
});

test('more noise in the output of a layer comes with more damage, and errors fed forward do less of both', async (t) => {
  const total = (units: Awaited<ReturnType<typeof setUp>>['units'], bits: number) =>
    units
      .flatMap(({ candidates }) => candidates.filter(({ precision }) => precision.bits === bits))
      .reduce((sum, { damage, outputNoise }) => ({ damage: sum.damage + damage, noise: sum.noise + outputNoise }), {
        damage: 0,
        noise: 0,
      });
  const plain = await setUp(t, NEAREST);
  const [ternary, int4, int8] = [2, 4, 8].map((bits) => total(plain.units, bits));
  assert.ok(ternary!.damage > int4!.damage && int4!.damage > int8!.damage);
  assert.ok(ternary!.noise > int4!.noise && int4!.noise > int8!.noise);
  const corrected = await setUp(t, { weights: { solver: 'exact' }, correction: ['mean', 'variance'] });
  assert.ok(total(corrected.units, 2).noise < ternary!.noise);
});

test('files in the scratch folder are removed, also after a stop', async (t) => {
  const scratchDir = temporaryFolder(t);
  await setUp(t, NEAREST, { scratchDir });
  assert.deepEqual(await readdir(scratchDir), []);
  const abort = new AbortController();
  const onUnit = (done: number) => done === 2 && abort.abort();
  await assert.rejects(setUp(t, NEAREST, { scratchDir, signal: abort.signal, onUnit }), { code: 'CANCELED' });
  assert.deepEqual(await readdir(scratchDir), []);
});
