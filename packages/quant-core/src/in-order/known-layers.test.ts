import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Recipe, resolveRecipe } from '@tritforge/contracts';
import { openDataset, planFeeds } from '../data/index.js';
import { readFloats, tensorFromFloats } from '../ir/index.js';
import { planLayers } from '../layers/plan-layers.js';
import { inOwnOrder } from '../layers/weight-rows.js';
import { countingRuntime } from '../prefix/testing.js';
import { ScratchTensors } from '../scratch-tensors.js';
import { quantizedNetwork } from '../testing/quantized-network.js';
import { SMALL_SAMPLES, smallNetwork, writeSmallNetwork } from '../testing/small-network.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { KnownLayers } from './known-layers.js';
import { OriginalOutputs } from './original-outputs.js';
import { type InOrderOptions, quantizeInOrder } from './quantize-in-order.js';

const RECIPE: Recipe = { weights: { solver: 'exact', groupSize: 8 }, correction: ['mean', 'variance'] };
/** Another precision for one of the last layers. */
const OTHER: Recipe = { ...RECIPE, layers: [{ match: { name: 'right' }, set: { bits: 4, groupSize: 4 } }] };

/** Quantizes the small network by several recipes that share what they have in common, or nothing. */
async function quantizeAll(t: TestContext, recipes: readonly Recipe[], shares: boolean) {
  const folder = temporaryFolder(t);
  const { datasetPath } = await writeSmallNetwork(folder);
  const dataset = await openDataset(datasetPath, { preprocess: null, scratchDir: folder });
  t.after(() => dataset.close());
  const network = await quantizedNetwork(t, smallNetwork(), RECIPE);
  const feedPlan = planFeeds(network.prepared.graph.inputs, dataset.summary, null);
  const shared: Partial<InOrderOptions> = shares
    ? { known: new KnownLayers(), originals: new OriginalOutputs(new ScratchTensors(join(folder, 'originals.bin'))) }
    : {};
  const results: { decoded: Map<string, Float32Array>; biases: Float32Array[]; runs: Map<string, number> }[] = [];
  for (const recipe of recipes) {
    const { runtime, ran } = countingRuntime();
    const resolved = resolveRecipe(recipe);
    const decoded = new Map<string, Float32Array>();
    const plan = planLayers(
      network.layers.map(({ layer }) => layer),
      resolved,
    );
    const layers = await quantizeInOrder(
      { ...network, layers: plan },
      {
        recipe: resolved,
        calibration: { dataset, feedPlan, digest: '' },
        maxSamples: undefined,
        runtime,
        scratchDir: folder,
        onLayer: async () => {},
        onSolved: async ({ layer }, solved) => {
          decoded.set(layer.node.name, solved.decoded);
          return tensorFromFloats(layer.weight.shape, inOwnOrder(solved.decoded, layer));
        },
        ...shared,
      },
    );
    const biases = await Promise.all(layers.map(({ layer }) => readFloats(layer.bias!)));
    results.push({ decoded, biases, runs: ran });
  }
  return results;
}

test('networks that share their first layers become what they become alone', async (t) => {
  const recipes = [RECIPE, OTHER, RECIPE];
  const [shared, alone] = [await quantizeAll(t, recipes, true), await quantizeAll(t, recipes, false)];
  for (const [i, { decoded, biases }] of shared.entries()) {
    assert.deepEqual(decoded, alone[i]!.decoded);
    assert.deepEqual(biases, alone[i]!.biases);
  }
  assert.notDeepEqual(shared[0]!.decoded, shared[1]!.decoded);
});

test('the original network runs once for all, and no moments are taken of layers in common', async (t) => {
  const [first, second, third] = await quantizeAll(t, [RECIPE, OTHER, RECIPE], true);
  const runsOf = ({ runs }: { runs: Map<string, number> }, suffix: string) =>
    [...runs].reduce((sum, [name, count]) => sum + (name.endsWith(suffix) ? count : 0), 0);
  // In the original and in the quantized network, then in the quantized one alone, then nowhere.
  assert.deepEqual(
    [first!, second!, third!].map((result) => runsOf(result, 'stem')),
    [2 * SMALL_SAMPLES, SMALL_SAMPLES, 0],
  );
  assert.ok(runsOf(second!, 'product') < runsOf(first!, 'product'));
  assert.equal(runsOf(third!, 'product'), 0);
});
