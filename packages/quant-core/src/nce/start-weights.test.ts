import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readFloats, tensorFromFloats } from '../ir/index.js';
import { assertClose, runModel } from '../testing/check-pass.js';
import { floats } from '../testing/memory-dataset.js';
import { gaussian, seededRandom } from '../testing/random.js';
import { searchSpace } from './search-space.js';
import { channelOrders, fromModel, fromNothing } from './start-weights.js';
import { branchedNetwork } from './testing.js';

const SIDE = 6;
const image = floats([3, 1, SIDE, SIDE], Array.from({ length: 3 * SIDE ** 2 }, gaussian(seededRandom(8))));
const FEEDS = new Map([['image', image]]);

test('a network that only grows begins as the one that was uploaded', async (t) => {
  const space = await searchSpace(branchedNetwork());
  const wider = new Map(space.graph.widths.slice(0, 2).map(({ id, channels }) => [id, channels + 3]));
  const grown = await fromModel(space, await channelOrders(space), wider);
  assertClose(await runModel(t, grown, FEEDS), await runModel(t, branchedNetwork(), FEEDS), 1e-5);
});

test('a network that shrinks keeps the channels that matter most', async (t) => {
  const model = branchedNetwork();
  // Nothing but channel 1 and 4 of the six that `inner` makes reaches anything.
  const weight = model.graph.initializers.get('inner.w')!;
  const values = await readFloats(weight);
  const size = values.length / 6;
  for (const dead of [0, 2, 3, 5]) values.fill(0, dead * size, (dead + 1) * size);
  model.graph.initializers.set('inner.w', tensorFromFloats(weight.shape, values));
  for (const name of ['inner.b', 'filter.b'])
    model.graph.initializers.set(name, tensorFromFloats([6], new Float32Array(6)));
  const space = await searchSpace(model);
  const { id } = space.graph.widths.find(({ layers }) => layers.includes('inner'))!;
  const shrunk = await fromModel(space, await channelOrders(space), new Map([[id, 2]]));
  assertClose(await runModel(t, shrunk, FEEDS), await runModel(t, model, FEEDS), 1e-5);
});

test('a network that begins with nothing has random weights of its own seed', async () => {
  const space = await searchSpace(branchedNetwork());
  const chosen = new Map(space.graph.widths.slice(0, 2).map(({ id, channels }) => [id, channels + 1]));
  const weightsOf = async (seed: number) => {
    const { graph } = await fromNothing(space, chosen, seed);
    return readFloats(graph.initializers.get('inner.w')!);
  };
  const [first, again, other] = [await weightsOf(1), await weightsOf(1), await weightsOf(2)];
  assert.deepEqual(again, first);
  assert.notDeepEqual(other, first);
  assert.equal(first.length, 7 * 5 * 9);
  const variance = first.reduce((sum, value) => sum + value * value, 0) / first.length;
  assert.ok(Math.abs(variance / (2 / (5 * 9)) - 1) < 0.25, `${variance}`);
});
