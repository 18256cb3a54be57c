import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../testing/random.js';
import { randomNetwork } from '../testing/random-network.js';
import { type Choices, likeliestChannels, TOLERANCE } from './budget-loss.js';
import { likeliest, startCandidates } from './candidates.js';
import { costOf, networkCost } from './cost.js';
import { channelsAt, settleWidths } from './settle-widths.js';
import { isFree, widthGraph } from './widths/width-graph.js';

async function searched(seed: number) {
  const model = randomNetwork(seed, { withShuffles: true });
  const graph = await widthGraph(model);
  const random = seededRandom(seed);
  const choices: Choices = new Map(
    graph.widths.filter(isFree).map((width) => [width.id, startCandidates(width, () => 4 * random() - 2)]),
  );
  const { macs, parameters } = networkCost(model, graph);
  return { graph, choices, macs, parameters };
}

test('widths are the likeliest where budgets allow them', async () => {
  const { graph, choices, macs } = await searched(3);
  const limit = costOf(macs, graph, likeliestChannels(choices));
  const settled = settleWidths(choices, [{ terms: macs, limit }], graph);
  for (const [id, own] of choices) assert.equal(own.channels[settled.get(id)!], likeliest(own));
});

test('widths keep to all budgets, to none closer than they must, and leave none unused', async () => {
  for (let seed = 0; seed < 60; seed++) {
    const { graph, choices, macs, parameters } = await searched(seed);
    const smallest = channelsAt(new Map([...choices.keys()].map((id) => [id, 0])), choices);
    const least = [macs, parameters].map((terms) => costOf(terms, graph, smallest));
    const budgets = [macs, parameters].map((terms, i) => ({ terms, limit: 1.2 * least[i]! }));
    const settled = settleWidths(choices, budgets, graph);
    const costs = (positions: ReadonlyMap<number, number>) =>
      budgets.map(({ terms, limit }) => costOf(terms, graph, channelsAt(positions, choices)) / limit);
    const fits = (positions: ReadonlyMap<number, number>) => costs(positions).every((cost) => cost <= 1);
    assert.ok(fits(settled), `seed ${seed}`);
    const [macsBefore, parametersBefore] = costs(settled);
    for (const [id, { channels }] of choices)
      channels.forEach((_, position) => {
        const moved = new Map(settled).set(id, position);
        if (!fits(moved)) return;
        // What is likelier would leave more of the budgets unused, and nothing that uses more of them fits.
        const [macsAfter, parametersAfter] = costs(moved);
        assert.ok(macsAfter! + parametersAfter! <= macsBefore! + parametersBefore!, `seed ${seed}, width ${id}`);
      });
  }
});

test('a step back below a budget goes no further than it must', async () => {
  const { graph, choices: random, macs } = await searched(3);
  // The largest of twenty candidates is likeliest, by a hair before the smallest.
  const choices: Choices = new Map(
    [...random].map(([id, { channels }]) => {
      const twenty = Array.from({ length: 20 }, (_, k) => (k + 1) * channels[0]!);
      return [id, { channels: twenty, logits: Float64Array.from(twenty, (_, k) => (k === 19 ? 0.001 : -0.01 * k)) }];
    }),
  );
  const limit = 0.97 * costOf(macs, graph, likeliestChannels(choices));
  const settled = settleWidths(choices, [{ terms: macs, limit }], graph);
  const share = costOf(macs, graph, channelsAt(settled, choices)) / limit;
  assert.ok(share <= 1 && share >= 1 - TOLERANCE, `${share}`);
});

test('channels that the network came with stay unless others are likelier by the odds', async () => {
  const { graph, choices: random, macs } = await searched(3);
  const limits = [{ terms: macs, limit: 1.001 * costOf(macs, graph) }];
  const original = new Map([...random.keys()].map((id) => [id, graph.widthOf(id).channels]));
  // The smallest is likelier by half than all others.
  const choices: Choices = new Map(
    [...random].map(([id, { channels }]) => [
      id,
      { channels, logits: Float64Array.from(channels, (_, k) => (k === 0 ? Math.log(1.5) : 0)) },
    ]),
  );
  assert.deepEqual(channelsAt(settleWidths(choices, limits, graph, 1.6), choices), original);
  const smallest = costOf(macs, graph, likeliestChannels(choices));
  const settled = settleWidths(choices, [{ terms: macs, limit: smallest }], graph, 1.4);
  assert.deepEqual(channelsAt(settled, choices), likeliestChannels(choices));
  // What is left of the budget goes to the channels that the network came with, where others are as likely.
  assert.deepEqual(channelsAt(settleWidths(choices, limits, graph, 1.4), choices), original);
});

test('budgets that nothing fits are refused', async () => {
  const { graph, choices, macs } = await searched(3);
  assert.throws(() => settleWidths(choices, [{ terms: macs, limit: 1 }], graph), { code: 'RECIPE_INVALID' });
});
