import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Value } from 'typebox/value';
import { completeRecipe } from './complete-recipe.js';
import { Recipe, resolveRecipe } from './recipe.js';
import { checkRecipe } from './recipe-check.js';

const RECIPES: readonly Recipe[] = [
  {},
  { method: 'int8', firstLast: { bits: null }, artifacts: ['compat', 'portable'], seed: 7 },
  { method: 'int4', weights: { groupSize: 32 } },
  { paper: true, weights: { groupSize: 4 }, activations: { bits: 4 } },
  { weights: { solver: 'feedback', residualPlanes: 0.25 }, correction: [], equalize: true, sensitivity: true },
  { layers: [{ match: { op: 'Conv' }, set: { groupSize: 4, planes: 2 } }], activations: { bits: null } },
  { method: 'auto', search: { maxBytes: 1e6, minutes: 1 } },
  { method: 'auto' },
  { method: 'uniform', layers: [{ match: { name: 'a' }, set: { groupSize: 16 } }] },
  { activations: { bits: 2, minimumSqnrDb: 6 }, layers: [{ match: { name: 'a' }, set: { groupSize: null } }] },
  { fineTune: {} },
  { fineTune: { labels: 0.1, temperature: 4 } },
  { method: 'nce' },
  { method: 'nce', nce: { widths: { conv1: 12 }, inherit: 'none' } },
  {
    method: 'nce',
    nce: { epochs: 3, budgets: { macs: 0.5, parameters: { atMost: 5000 }, bytes: 0.9 }, expansion: { cap: 1 } },
  },
  { fineTune: { epochs: 3, optimiser: 'sgd', batch: 48, workers: 4, augment: { shift: 2, mirror: true } } },
  { method: 'int4', fineTune: { minutes: 0.5, loss: 'mse', temperature: 1, learningRate: 1e-4 } },
];

for (const recipe of RECIPES) {
  test(`the complete form of ${JSON.stringify(recipe)} is accepted and means the same`, () => {
    const resolved = resolveRecipe(recipe);
    const complete = JSON.parse(JSON.stringify(completeRecipe(resolved)));
    assert.ok(Value.Check(Recipe, complete), JSON.stringify(Value.Errors(Recipe, complete)));
    checkRecipe(complete);
    assert.deepEqual(resolveRecipe(complete), resolved);
  });
}

test('the complete form trains where the recipe did, for as long, and nowhere else', () => {
  const trainingOf = (recipe: Recipe) => completeRecipe(resolveRecipe(recipe)).fineTune;
  assert.equal(trainingOf({}), undefined);
  assert.deepEqual(trainingOf({ fineTune: { epochs: 3 } }), {
    epochs: 3,
    labels: 0,
    temperature: 2,
    optimiser: 'adamw',
    learningRate: 0.005,
    anchor: 0.03,
    batch: 64,
    workers: 2,
    keep: 'best',
    normalize: false,
    weightScales: 'learned',
    activationRanges: 'lsq',
    augment: { crop: 1, shift: 0, mirror: false, mix: false },
  });
  assert.equal(trainingOf({ fineTune: {} })?.minutes, 10);
});
