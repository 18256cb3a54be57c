import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Recipe, resolveRecipe } from '@tritforge/contracts';
import type { Model } from '../ir/index.js';
import { findLayers } from '../layers/find-layers.js';
import { planLayers } from '../layers/plan-layers.js';
import { Net } from '../testing/accelerated-network.js';
import { shortcutNetwork } from '../testing/shortcut-network.js';
import { assignBits, settleActivationBits, withoutBranches } from './activation-bits.js';
import { type ActivationPlan, planActivations } from './plan-activations.js';

async function plan(model: Model, recipe: Recipe) {
  const resolved = resolveRecipe({ method: 'int8', ...recipe });
  const wanted = planLayers(findLayers(model).layers, resolved);
  const activations = await planActivations(model.graph, wanted, resolved.activations.shortcuts);
  return { activations, wanted, layers: settleActivationBits(wanted, activations) };
}

const maxCodes = ({ maxCodes }: ActivationPlan) => Object.fromEntries(maxCodes);
const branches = ({ branches }: ActivationPlan) =>
  Object.fromEntries([...branches].map(([node, { name, source }]) => [node.name, `${name} of ${source}`]));

for (const [bits, maxCode] of [
  [4, 15],
  [2, 3],
] as const) {
  test(`wide shortcuts keep 8 bits, and layers of ${bits} bits take in a second quantization`, async () => {
    const recipe: Recipe = { activations: { bits, shortcuts: 'wide' } };
    const { activations, layers } = await plan(shortcutNetwork(), recipe);
    assert.deepEqual(branches(activations), {
      a: `stem.r_${bits}bit of stem.r`,
      c: `sum.r_${bits}bit of sum.r`,
      e: `pooled_${bits}bit of pooled`,
    });
    const second = { [`stem.r_${bits}bit`]: maxCode, [`sum.r_${bits}bit`]: maxCode, [`pooled_${bits}bit`]: maxCode };
    const [first, wide] = [
      { x: 255, b: 255, 'c.r': 255, y: 255 },
      { 'stem.r': 255, 'sum.r': 255, 'd.r': 255 },
    ];
    const narrow = { 'a.r': maxCode, joined: maxCode };
    assert.deepEqual(maxCodes(activations), { ...first, 'e.r': 255, ...wide, ...narrow, ...second });
    assert.deepEqual([...activations.observed].sort(), Object.keys(maxCodes(activations)).sort());
    assert.ok(activations.nonNegative.has(`stem.r_${bits}bit`));
    assert.deepEqual(
      layers.map(({ applied, reason }) => [applied.activationBits, reason]),
      [8, bits, bits, bits, bits, bits, 8].map((applied) => [applied, null]),
    );
  });
}

test('narrow shortcuts give all users the few bits', async () => {
  const { activations } = await plan(shortcutNetwork(), { activations: { bits: 2, shortcuts: 'narrow' } });
  assert.equal(activations.branches.size, 0);
  const narrow = [...activations.maxCodes].filter(([, maxCode]) => maxCode === 3).map(([name]) => name);
  assert.deepEqual(narrow.sort(), ['a.r', 'd.r', 'joined', 'stem.r', 'sum.r']);
});

test('layers of equal bits share a second quantization, those of 8 bits take in the first', async () => {
  const net = new Net().conv('x', 'stem').conv('stem', 'a').conv('stem', 'b').conv('stem', 'c').conv('stem', 'd');
  const joined = net.op('Add', ['a', 'b'], 'ab').op('Add', ['c', 'd'], 'cd').op('Add', ['ab', 'cd'], 'sum');
  const model = joined.conv('sum', 'y').model('y');
  const set = (name: string, activationBits: 8 | 4 | 2) => ({ match: { name }, set: { activationBits } });
  const { activations, layers } = await plan(model, {
    activations: { bits: 2 },
    layers: [set('c', 4), set('d', 8)],
  });
  const [two, four] = ['stem_2bit of stem', 'stem_4bit of stem'];
  assert.deepEqual(branches(activations), { a: two, b: two, c: four });
  assert.deepEqual(
    layers.map(({ applied }) => applied.activationBits),
    [8, 2, 2, 4, 8, 8],
  );
});

test('a value in floating point is quantized for layers of 8 bits and for narrower ones apart', async () => {
  const model = new Net().conv('x', 'a').conv('x', 'b').op('Add', ['a', 'b'], 'y').model('y');
  const layers = [{ match: { name: 'b' }, set: { activationBits: 4 as const } }];
  const { activations } = await plan(model, { activations: { shortcuts: 'wide' }, layers });
  assert.deepEqual(branches(activations), { b: 'x_4bit of x' });
  assert.equal(activations.maxCodes.get('x'), 255);
});

test('a second quantization goes when the layers that it is for fall back to 8 bits, and with it alone', async () => {
  const { activations, wanted } = await plan(shortcutNetwork(), { activations: { bits: 2 } });
  const judged = wanted.map((planned) =>
    planned.layer.node.name === 'a'
      ? { ...planned, applied: { ...planned.applied, activationBits: 8 as const } }
      : planned,
  );
  const settled = assignBits(activations, judged, 'wide');
  assert.deepEqual(Object.keys(branches(settled)), ['c', 'e']);
  assert.deepEqual(
    settled.observed,
    activations.observed.filter((name) => name !== 'stem.r_2bit'),
  );
  assert.ok(!settled.values.has('stem.r_2bit') && !settled.nonNegative.has('stem.r_2bit'));
  const without = withoutBranches(activations);
  assert.deepEqual(
    [...without.values.values()].filter(({ source }) => source !== undefined),
    [],
  );
});
