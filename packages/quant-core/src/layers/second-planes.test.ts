import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Recipe, resolveRecipe } from '@tritforge/contracts';
import type { Model } from '../ir/index.js';
import { randomTensor } from '../testing/random-tensor.js';
import { tinyModel } from '../testing/tiny-model.js';
import { findLayers } from './find-layers.js';
import { planLayers } from './plan-layers.js';
import { damageByWeightError, spendSecondPlanes } from './second-planes.js';

/** Layers of 4, 8, 16 and 32 squared weights; the last two share a weight of 256. */
function network(): Model {
  const matrix = (name: string, size: number) => ({
    op: 'MatMul',
    name,
    inputs: [`x${size}`, `w${size}`],
    outputs: [`y_${name}`],
  });
  return tinyModel({
    inputs: [4, 8, 16, 32].map((size) => [`x${size}`, 'float32', [1, size]] as const),
    outputs: [['y_a', 'float32', null]],
    nodes: [matrix('a', 4), matrix('b', 8), matrix('c', 32), matrix('d', 16), matrix('e', 16)],
    constants: Object.fromEntries([4, 8, 16, 32].map((size) => [`w${size}`, randomTensor([size, size], size)])),
  });
}

/** Names of the layers with two planes. Damage is by name of the weight. */
function chosen(recipe: Recipe, damage: Record<string, number>): string {
  const resolved = resolveRecipe({ firstLast: { bits: 2 }, ...recipe });
  const plan = planLayers(findLayers(network()).layers, resolved);
  const byTensor = new Map(plan.map(({ layer }) => [layer.weight, damage[layer.weightName]!]));
  const spent = spendSecondPlanes(plan, resolved, byTensor);
  for (const { requested, applied, reason } of spent)
    assert.equal(requested.planes === applied.planes, reason === null);
  return spent.flatMap(({ layer, applied }) => (applied.planes === 2 ? [layer.node.name] : [])).join('');
}

const share = (residualPlanes: number): Recipe => ({ weights: { residualPlanes } });
const EQUAL = { w4: 1, w8: 1, w16: 1, w32: 1 };
/** Per weight: c most, then d and e, then b. */
const LAST = { w4: 16, w8: 64 * 2, w16: 256 * 3, w32: 1024 * 4 };
const TOTAL = 16 + 64 + 256 + 1024;

test('a share of second planes goes to the layers where a weight does most damage, as far as it lasts', () => {
  assert.equal(chosen(share(0), LAST), '');
  assert.equal(chosen(share(1), LAST), 'abcde');
  assert.equal(chosen(share(1024 / TOTAL), LAST), 'c');
  assert.equal(chosen(share((1024 + 256) / TOTAL), LAST), 'cde');
  assert.equal(chosen(share((1024 + 255) / TOTAL), LAST), 'abc', 'what is too large is passed over');
  assert.equal(chosen(share(1023 / TOTAL), LAST), 'abde');
  assert.equal(chosen(share((256 + 64 + 16) / TOTAL), EQUAL), 'abde');
});

test('rules settle the planes of a layer, and those they give count towards the share', () => {
  const rule = (name: string, planes: 1 | 2) => ({ layers: [{ match: { name }, set: { planes } }] });
  assert.equal(chosen({ ...share(1), ...rule('c', 1) }, EQUAL), 'abde');
  assert.equal(chosen({ ...share((256 + 64) / TOTAL), ...rule('d', 2) }, EQUAL), 'ade');
  assert.equal(chosen({ ...share(0.1), ...rule('c', 2) }, EQUAL), 'c');
});

test('layers that are not ternary have no part in it', () => {
  const rules: Recipe = { layers: [{ match: { name: 'c' }, set: { bits: 8 } }] };
  assert.equal(chosen({ ...share(0.5), ...rules }, { ...EQUAL, w16: 100 }), 'ab');
});

test('the damage that weights alone tell is their relative error with one plane', async () => {
  const plan = planLayers(findLayers(network()).layers, resolveRecipe({ firstLast: { bits: 2 } }));
  const damage = await damageByWeightError(plan);
  assert.equal(damage.size, 4);
  const [tiny, large] = ['w4', 'w32'].map(
    (name) => damage.get(plan.find(({ layer }) => layer.weightName === name)!.layer.weight)!,
  );
  assert.ok(tiny! > 0.02 && tiny! < large! && large! < 0.25, `${tiny} and ${large}`);
});
