import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gaussian, seededRandom } from '../testing/random.js';
import { randomNetwork } from '../testing/random-network.js';
import { budgetLoss, type Choices, likeliestChannels } from './budget-loss.js';
import { startCandidates } from './candidates.js';
import { costOf, networkCost } from './cost.js';
import { isFree, widthGraph } from './widths/width-graph.js';

async function choicesOf(seed: number) {
  const model = randomNetwork(seed, { withShuffles: false });
  const graph = await widthGraph(model);
  const normal = gaussian(seededRandom(seed));
  const choices: Choices = new Map(
    graph.widths.filter(isFree).map((width) => [width.id, startCandidates(width, normal)]),
  );
  const { macs } = networkCost(model, graph);
  return { graph, choices, macs, cost: costOf(macs, graph, likeliestChannels(choices)) };
}

test('nothing is lost within the budget, and too much or too little pulls the other way', async () => {
  const { graph, choices, macs, cost } = await choicesOf(4);
  const loss = (limit: number) => budgetLoss({ terms: macs, limit }, choices, graph).loss;
  assert.equal(loss(cost), 0);
  assert.equal(loss(cost / 0.96), 0);
  assert.ok(loss(cost * 0.99) > 0);
  assert.ok(loss(cost * 1.2) < 0);
});

test('the gradient is that of the loss', async () => {
  for (let seed = 0; seed < 20; seed++) {
    const { graph, choices, macs, cost } = await choicesOf(seed);
    for (const limit of [cost / 2, cost * 2]) {
      const budget = { terms: macs, limit };
      const { gradient } = budgetLoss(budget, choices, graph);
      for (const [id, { channels, logits }] of choices)
        for (const k of channels.keys()) {
          const at = (step: number) => {
            const moved = { channels, logits: logits.with(k, logits[k]! + step) };
            return budgetLoss(budget, new Map(choices).set(id, moved), graph).loss;
          };
          const step = 1e-6;
          const difference = (at(step) - at(-step)) / (2 * step);
          assert.ok(Math.abs(difference - gradient.get(id)![k]!) < 1e-6, `seed ${seed}, width ${id}, ${k}`);
        }
    }
  }
});
