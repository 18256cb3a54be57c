import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../testing/random.js';
import { randomNetwork } from '../testing/random-network.js';
import type { Choices } from './budget-loss.js';
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
  const settled = settleWidths(choices, [{ terms: macs, limit: 1e12 }], graph);
  for (const [id, own] of choices) assert.equal(own.channels[settled.get(id)!], likeliest(own));
});

test('widths keep to all budgets, and to none closer than they must', async () => {
  for (let seed = 0; seed < 60; seed++) {
    const { graph, choices, macs, parameters } = await searched(seed);
    const smallest = channelsAt(new Map([...choices.keys()].map((id) => [id, 0])), choices);
    const least = [macs, parameters].map((terms) => costOf(terms, graph, smallest));
    const budgets = [macs, parameters].map((terms, i) => ({ terms, limit: 1.2 * least[i]! }));
    const settled = settleWidths(choices, budgets, graph);
    const fits = (positions: ReadonlyMap<number, number>) =>
      budgets.every(({ terms, limit }) => costOf(terms, graph, channelsAt(positions, choices)) <= limit);
    assert.ok(fits(settled), `seed ${seed}`);
    for (const [id, { logits }] of choices)
      logits.forEach((logit, position) => {
        const isLikelier = logit > logits[settled.get(id)!]!;
        assert.ok(!isLikelier || !fits(new Map(settled).set(id, position)), `seed ${seed}, width ${id}`);
      });
  }
});

test('budgets that nothing fits are refused', async () => {
  const { graph, choices, macs } = await searched(3);
  assert.throws(() => settleWidths(choices, [{ terms: macs, limit: 1 }], graph), { code: 'RECIPE_INVALID' });
});
