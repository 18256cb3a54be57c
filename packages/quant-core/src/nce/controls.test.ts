import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../testing/random.js';
import { type ControlName, controlWidths } from './controls.js';
import { costOf, networkCost } from './cost.js';
import { smallSearch } from './testing.js';

test('controls have no more multiply-accumulates, and hardly fewer', async (t) => {
  const { graph, searched, template } = await smallSearch(t);
  const { macs } = networkCost(template, graph);
  const costAt = (widths: ReadonlyMap<number, number>) => costOf(macs, graph, widths);
  const widthsOf = (name: ControlName, most: number, seed = 1) =>
    controlWidths(name, { graph, searched, macs }, most, seededRandom(seed));
  const original = widthsOf('original', 0);
  assert.deepEqual([...original.values()], [4, 6, 4, 6]);
  const most = 4 * costAt(original);
  for (const name of ['uniform', 'random'] as const) {
    const widths = widthsOf(name, most);
    assert.deepEqual([...widths.keys()], [...searched]);
    assert.ok(costAt(widths) <= most && costAt(widths) > 0.8 * most, `${name}: ${costAt(widths)} of ${most}`);
  }
  const shares = [...widthsOf('uniform', most)].map(([id, channels]) => channels / graph.widthOf(id).channels);
  assert.ok(Math.max(...shares) < 1.15 * Math.min(...shares), `${shares}`);
  assert.deepEqual(widthsOf('random', most), widthsOf('random', most));
  assert.notDeepEqual(widthsOf('random', most), widthsOf('random', most, 2));
});
