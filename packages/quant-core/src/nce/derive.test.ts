import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inferShapes } from '../ir/index.js';
import { readModel } from '../onnx/index.js';
import { assertClose, runModel } from '../testing/check-pass.js';
import { seededRandom } from '../testing/random.js';
import { randomNetwork } from '../testing/random-network.js';
import { sharedData, skipWithout } from '../testing/shared-data.js';
import { type ChannelSources, deriveNetwork } from './derive.js';
import { isFree, type WidthGraph, widthGraph } from './widths/width-graph.js';
import type { Width } from './widths/width-table.js';

const SEEDS = Array.from({ length: 150 }, (_, seed) => seed);

/** New channels of every free width, by `choose`. */
function sourcesBy(graph: WidthGraph, choose: (width: Width) => readonly number[]): ChannelSources {
  return new Map(graph.widths.filter(isFree).map((width) => [width.id, choose(width)]));
}

const range = (count: number) => Array.from({ length: count }, (_, i) => i);

test('networks of any widths that the ties allow run, and put out what has the shape of before', async (t) => {
  let changed = 0;
  for (const seed of SEEDS) {
    const model = randomNetwork(seed, { withShuffles: true });
    const graph = await widthGraph(model);
    const random = seededRandom(seed);
    const sources = sourcesBy(graph, ({ channels, multipleOf }) => {
      const steps = Math.max(Math.round((channels * (0.3 + 1.7 * random())) / multipleOf), 1);
      return range(steps * multipleOf).map((i) => i % channels);
    });
    const derived = await deriveNetwork(model, graph, sources);
    const [before, after] = [await runModel(t, model), await runModel(t, derived)];
    for (const [name, { shape }] of before) assert.deepEqual(after.get(name)!.shape, shape, `seed ${seed}`);
    const shapes = inferShapes(derived);
    for (const width of graph.widths.filter(isFree))
      for (const layer of width.layers) {
        const { outputs } = derived.graph.nodes.find(({ name }) => name === layer)!;
        assert.equal(shapes.get(outputs[0]!)?.shape?.[1], sources.get(width.id)!.length, `seed ${seed}, ${layer}`);
        changed++;
      }
  }
  assert.ok(changed > 3 * SEEDS.length, `${changed} layers had other widths`);
});

test('a network that only grows computes what it did', async (t) => {
  for (const seed of SEEDS) {
    const model = randomNetwork(seed, { withShuffles: false });
    const graph = await widthGraph(model);
    const random = seededRandom(seed);
    const sources = sourcesBy(graph, ({ channels }) => [
      ...range(channels),
      ...range(Math.floor(random() * channels)).map(() => Math.floor(random() * channels)),
    ]);
    const derived = await deriveNetwork(model, graph, sources);
    assertClose(await runModel(t, derived), await runModel(t, model), 1e-4);
  }
});

test('a network of the same widths is the same', async () => {
  const model = randomNetwork(3, { withShuffles: true });
  const graph = await widthGraph(model);
  const derived = await deriveNetwork(model, graph, new Map());
  assert.deepEqual(derived.graph.nodes, model.graph.nodes);
  assert.deepEqual(derived.graph.initializers, model.graph.initializers);
});

const RESNET20 = 'models/resnet20_cifar10.onnx';

test('ResNet-20 grows to what computes the same, its shortcuts of empty channels become projections', {
  skip: skipWithout(RESNET20),
}, async (t) => {
  const model = await readModel(sharedData(RESNET20));
  const graph = await widthGraph(model);
  const sources = sourcesBy(graph, ({ channels }) => range(channels + 8).map((i) => i % channels));
  const derived = await deriveNetwork(model, graph, sources);
  const count = ({ graph: { nodes } }: typeof model, op: string) => nodes.filter(({ opType }) => opType === op).length;
  assert.deepEqual([count(model, 'Pad'), count(derived, 'Pad')], [2, 0]);
  assert.equal(count(derived, 'Conv'), count(model, 'Conv') + 2);
  assertClose(await runModel(t, derived), await runModel(t, model), 1e-4);
});
