import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gaussian, seededRandom } from '../testing/random.js';
import { randomNetwork } from '../testing/random-network.js';
import type { Choices } from './budget-loss.js';
import { startCandidates } from './candidates.js';
import { costOf, networkCost } from './cost.js';
import { refineWidths } from './refine-widths.js';
import { channelsAt, type Settled } from './settle-widths.js';
import { isFree, widthGraph } from './widths/width-graph.js';

const BATCHES = 16;
const SHARES = [0.5, 0.75, 1, 1.25, 1.5];

/** A network whose loss is known: each width has a worth, of which every further channel adds less. */
async function setUp(seed: number) {
  const model = randomNetwork(seed, { withShuffles: true });
  const graph = await widthGraph(model);
  const random = seededRandom(seed);
  const choices: Choices = new Map(
    graph.widths.filter(isFree).map((width) => [width.id, startCandidates(width, () => 0, SHARES)]),
  );
  const worth = new Map([...choices.keys()].map((id) => [id, 0.1 + random()]));
  const lossOf = (widths: Settled) =>
    [...channelsAt(widths, choices)].reduce((sum, [id, channels]) => sum + worth.get(id)! / channels, 0);
  const { macs } = networkCost(model, graph);
  const budgets = [{ terms: macs, limit: costOf(macs, graph) }];
  const start: Settled = new Map([...choices.keys()].map((id) => [id, 0]));
  return { graph, choices, budgets, macs, start, lossOf };
}

test('widths grow where it pays, at the cost of others, and never beyond the budgets', async () => {
  let [gains, exchanges] = [0, 0];
  for (let seed = 0; seed < 20; seed++) {
    const { graph, choices, budgets, macs, start, lossOf } = await setUp(seed);
    const fits = (at: Settled) => costOf(macs, graph, channelsAt(at, choices)) <= budgets[0]!.limit;
    const lossesOf = async (widths: Settled) => Array.from({ length: BATCHES }, (_, i) => i + lossOf(widths));
    const seen = [start];
    const onStep = (widths: Settled) => void seen.push(widths);
    const { widths, before, after, measured } = await refineWidths(start, {
      choices,
      budgets,
      graph,
      lossesOf,
      onStep,
    });
    assert.ok(seen.every(fits));
    for (const [i, next] of seen.slice(1).entries()) {
      assert.ok(lossOf(next) < lossOf(seen[i]!), `seed ${seed}, step ${i}`);
      if ([...next].some(([id, at]) => at < seen[i]!.get(id)!)) exchanges++;
    }
    if (seen.length > 1) gains++;
    assert.ok(Math.abs(before - after - (lossOf(start) - lossOf(widths))) < 1e-9);
    assert.ok(measured >= seen.length);
    // Neither a change of one width nor an exchange between two that fits is better.
    const steps = [...choices].flatMap(([id, { channels }]) =>
      [-1, 1].filter((by) => channels[widths.get(id)! + by] !== undefined).map((by) => [id, widths.get(id)! + by]),
    ) as [number, number][];
    for (const one of steps)
      for (const other of steps.filter(([id]) => id >= one[0])) {
        const changed = new Map([...widths, other, one]);
        assert.ok(!fits(changed) || lossOf(changed) >= lossOf(widths), `seed ${seed}, ${one} and ${other}`);
      }
  }
  assert.ok(gains > 15, `${gains} of 20 networks gained`);
  assert.ok(exchanges > 0);
});

test('widths stay where differences are noise', async () => {
  const { graph, choices, budgets, start } = await setUp(3);
  const next = gaussian(seededRandom(9));
  const lossesOf = async (widths: Settled) => {
    const isStart = [...widths].every(([id, position]) => start.get(id) === position);
    return Array.from({ length: BATCHES }, () => (isStart ? 1 : 1.02 + 0.1 * next()));
  };
  const { widths, before, after } = await refineWidths(start, { choices, budgets, graph, lossesOf });
  assert.deepEqual(widths, start);
  assert.equal(after, before);
});
