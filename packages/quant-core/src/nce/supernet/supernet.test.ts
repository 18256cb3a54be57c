import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { runModel } from '../../testing/check-pass.js';
import { floats } from '../../testing/memory-dataset.js';
import { gaussian, seededRandom } from '../../testing/random.js';
import { temporaryFolder } from '../../testing/temporary-folder.js';
import { SampleReader } from '../../train/sample-store.js';
import type { Candidates } from '../candidates.js';
import { widthsOfLayers } from '../search-space.js';
import { oneBatch, smallSearch } from '../testing.js';
import { type Chosen, inheritedNetwork } from './inherit.js';
import { type Pairs, Supernet } from './supernet.js';

const SAMPLES = 24;
/** Candidates as shares of the channels that there are. */
const SHARES = [0.5, 1];

async function openSupernet(t: TestContext) {
  const search = await smallSearch(t);
  const { searched, graph, original, baseOf } = search;
  const choices = new Map(
    searched.map((id): [number, Candidates] => {
      const channels = SHARES.map((share) => share * graph.widthOf(id).channels);
      return [id, { channels, logits: new Float64Array(channels.length) }];
    }),
  );
  const base = await baseOf(new Map([...choices].map(([id, { channels }]) => [id, channels.at(-1)!])));
  const samples = await oneBatch(t, SAMPLES);
  const widths = widthsOfLayers(graph, searched);
  const supernet = await Supernet.open(base, choices, (layer) => widths.get(layer) ?? null, samples, {
    teacher: original,
    loss: { kind: 'mse' },
    activationQuantizer: 'lsq',
    weightScales: 'sawb',
    mixing: 'interpolate',
    threads: 1,
    augmentation: null,
    seed: 1,
    scratchDir: temporaryFolder(t),
  });
  t.after(() => supernet.close());
  const values = await supernet.givenParameters();
  const affines = await supernet.begin(values);
  const latent = supernet.latent.from(values);
  await supernet.quantize(latent);
  const lossOf = async (pairs: Pairs, at: Float32Array) => {
    supernet.mix(pairs, at);
    return supernet.step(samples.fitting, 1, pairs, at);
  };
  return { ...search, supernet, samples, affines, latent, lossOf };
}

const all = (searched: readonly number[], position: number): Pairs =>
  new Map(searched.map((id) => [id, { positions: [position], shares: [1] }]));

test('every width but that of the scores is searched', async (t) => {
  const { searched, graph } = await smallSearch(t);
  assert.deepEqual(
    searched.map((id) => graph.widthOf(id).layers),
    [['stem', 'back'], ['inner'], ['left'], ['right']],
  );
});

test('with all channels alone a supernet computes what the network does', async (t) => {
  const { searched, affines, lossOf } = await openSupernet(t);
  const { loss } = await lossOf(all(searched, 1), affines);
  assert.ok(loss < 1e-3, `${loss}`);
  const { loss: narrow } = await lossOf(all(searched, 0), affines);
  assert.ok(narrow > 10 * loss, `${narrow} with half of the channels`);
});

test('gradients by shares, γ and β are those of differences', async (t) => {
  const { searched, affines, lossOf } = await openSupernet(t);
  const pairs: Pairs = new Map(
    searched.map((id, i) => [id, { positions: [0, 1], shares: [0.3 + 0.1 * i, 0.7 - 0.1 * i] }]),
  );
  const { byShares, byAffines } = await lossOf(pairs, affines);
  const step = 2e-3;
  const near = (actual: number, slope: number, what: string) =>
    assert.ok(Math.abs(actual - slope) < 0.02 * Math.abs(slope) + 5e-4, `${what}: ${actual}, by differences ${slope}`);
  for (const id of searched)
    for (const i of [0, 1]) {
      const at = async (change: number) => {
        const own = pairs.get(id)!;
        const changed = { ...own, shares: own.shares.with(i, own.shares[i]! + change) };
        return (await lossOf(new Map([...pairs, [id, changed]]), affines)).loss;
      };
      near(byShares.get(id)![i]!, ((await at(step)) - (await at(-step))) / (2 * step), `share ${i} of ${id}`);
    }
  const next = gaussian(seededRandom(3));
  const direction = Float32Array.from(affines, next);
  const along = async (change: number) =>
    (
      await lossOf(
        pairs,
        affines.map((value, i) => value + change * direction[i]!),
      )
    ).loss;
  const slope = ((await along(step)) - (await along(-step))) / (2 * step);
  near(
    byAffines.reduce((sum, value, i) => sum + value * direction[i]!, 0),
    slope,
    'γ and β',
  );
});

test('the network that is inherited computes what its candidates do', async (t) => {
  const { searched, graph, supernet, samples, affines, latent, lossOf, original } = await openSupernet(t);
  const position = 0;
  const chosen: Chosen = {
    positions: new Map(searched.map((id) => [id, position])),
    channels: new Map(searched.map((id) => [id, SHARES[position]! * graph.widthOf(id).channels])),
  };
  const derived = await inheritedNetwork(supernet, { latent, affines }, chosen);
  const widthOf = (name: string) =>
    derived.graph.initializers.get(derived.graph.nodes.find((node) => node.name === name)!.inputs[1]!)!.shape[0];
  assert.deepEqual(['stem', 'back', 'inner', 'filter', 'left', 'right'].map(widthOf), [2, 2, 3, 3, 2, 3]);
  const reader = new SampleReader(samples.store);
  const batch = reader.read(samples.fitting);
  reader.close();
  const image = batch.get('image')!;
  const feeds = new Map([['image', floats(image.shape, image.data as Float32Array)]]);
  const [mine, teacher] = await Promise.all(
    [derived, original].map(async (model) => (await runModel(t, model, feeds)).get('scores')!.data as Float32Array),
  );
  const { loss } = await lossOf(all(searched, position), affines);
  const error = mine!.reduce((sum, value, i) => sum + (value - teacher![i]!) ** 2, 0);
  const relative = error / teacher!.reduce((sum, value) => sum + value * value, 0);
  assert.ok(Math.abs(relative / loss - 1) < 0.02, `${relative} of the network, ${loss} of the supernet`);
});
