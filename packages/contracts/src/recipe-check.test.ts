import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Value } from 'typebox/value';
import { type LayerSettings, Recipe, resolveRecipe } from './recipe.js';
import { checkRecipe } from './recipe-check.js';

const fieldOf = (recipe: Recipe): string | undefined => {
  assert.ok(Value.Check(Recipe, recipe), JSON.stringify(recipe));
  let field: string | undefined;
  assert.throws(
    () => checkRecipe(recipe),
    (error: { code: string; context: { field?: string } }) => {
      field = error.context.field;
      return error.code === 'RECIPE_INVALID';
    },
  );
  return field;
};

test('the paper mode is dynamic fixed point and the exact solver, with any group size and bits of activations', () => {
  const recipe: Recipe = { paper: true, weights: { groupSize: 4 }, activations: { bits: 4 } };
  checkRecipe(recipe);
  const { method, paper, weights, activations, firstLast } = resolveRecipe(recipe);
  assert.deepEqual(
    { method, paper, weights, activations, firstLast },
    {
      method: 'fgq',
      paper: true,
      weights: { groupSize: 4, solver: 'exact', target: 'weights', residualPlanes: 0 },
      activations: { bits: 4, range: 'dfp', shortcuts: 'narrow', minimumSqnrDb: null },
      firstLast: { bits: 8 },
    },
  );
  assert.equal(resolveRecipe({}).paper, false);
});

test('what was not published is refused in paper mode, by the name of the field', () => {
  assert.equal(fieldOf({ paper: true, method: 'int8' }), 'recipe.method');
  assert.equal(fieldOf({ paper: true, weights: { solver: 'feedback' } }), 'recipe.weights.solver');
  assert.equal(fieldOf({ paper: true, weights: { residualPlanes: 0.25 } }), 'recipe.weights.residualPlanes');
  assert.equal(fieldOf({ paper: true, activations: { range: 'mse' } }), 'recipe.activations.range');
  assert.equal(fieldOf({ paper: true, activations: { bits: 4, shortcuts: 'wide' } }), 'recipe.activations.shortcuts');
  assert.equal(
    fieldOf({ paper: true, activations: { bits: 4, minimumSqnrDb: 20 } }),
    'recipe.activations.minimumSqnrDb',
  );
  assert.equal(fieldOf({ paper: true, weights: { target: 'outputs' } }), 'recipe.weights.target');
  assert.equal(fieldOf({ paper: true, correction: ['mean'] }), 'recipe.correction');
  assert.equal(fieldOf({ paper: true, equalize: true }), 'recipe.equalize');
  assert.equal(fieldOf({ paper: true, firstLast: { bits: null } }), 'recipe.firstLast.bits');
  const layers = [{ match: { op: 'Conv' }, set: { planes: 2 as const } }];
  assert.equal(fieldOf({ paper: true, layers }), 'recipe.layers.0.set.planes');
  assert.equal(fieldOf({ paper: true, fineTune: {} }), 'recipe.fineTune');
});

test('a limit on the noise of 4-bit inputs has a default with 4 bits, and no meaning without', () => {
  const limitOf = (activations: NonNullable<Recipe['activations']>) =>
    resolveRecipe({ activations }).activations.minimumSqnrDb;
  assert.deepEqual([limitOf({ bits: 4 }), limitOf({ bits: 4, minimumSqnrDb: null }), limitOf({})], [20, null, null]);
  assert.equal(fieldOf({ activations: { minimumSqnrDb: 15 } }), 'recipe.activations.minimumSqnrDb');
  checkRecipe({ activations: { bits: 4, minimumSqnrDb: 15 } });
  checkRecipe({ activations: { minimumSqnrDb: null } });
});

test('the method uniform has 2-bit activations unless told, and neither groups nor planes of its own', () => {
  const { activations, firstLast } = resolveRecipe({ method: 'uniform' });
  assert.deepEqual(
    [activations, firstLast],
    [{ bits: 2, range: 'mse', shortcuts: 'wide', minimumSqnrDb: null }, { bits: 8 }],
  );
  const bitsOf = (bits: 8 | 4 | 2 | null) => resolveRecipe({ method: 'uniform', activations: { bits } }).activations;
  assert.deepEqual([bitsOf(8).bits, bitsOf(null).bits, bitsOf(4).minimumSqnrDb], [8, null, 20]);
  checkRecipe({ method: 'uniform', firstLast: { bits: 2 }, activations: { minimumSqnrDb: 6 } });
  assert.equal(fieldOf({ method: 'uniform', weights: { groupSize: 64 } }), 'recipe.weights.groupSize');
  assert.equal(fieldOf({ method: 'uniform', weights: { residualPlanes: 0 } }), 'recipe.weights.residualPlanes');
  assert.equal(fieldOf({ method: 'uniform', paper: true }), 'recipe.method');
  const layers = (set: LayerSettings) => [{ match: { name: '*' }, set }];
  checkRecipe({ method: 'uniform', layers: layers({ groupSize: 64, planes: 2 }) });
  assert.equal(fieldOf({ method: 'uniform', layers: layers({ planes: 2 }) }), 'recipe.layers.0.set.planes');
  checkRecipe({ layers: layers({ groupSize: null, activationBits: 2 }) });
  checkRecipe({ layers: layers({ groupSize: null, bits: 2 }) });
  for (const set of [{ bits: 4 }, { bits: 8 }, { bits: null }, { planes: 1 }] as const)
    assert.equal(fieldOf({ layers: layers({ groupSize: null, ...set }) }), 'recipe.layers.0.set.groupSize');
});

test('uniform 2 bits were not published with FGQ, and are not searched for', () => {
  for (const recipe of [{ paper: true }, { method: 'auto' }] as const) {
    const rule = (set: LayerSettings) => ({ ...recipe, layers: [{ match: { name: '*' }, set }] });
    assert.equal(fieldOf({ ...recipe, activations: { bits: 2 } }), 'recipe.activations.bits');
    assert.equal(fieldOf(rule({ groupSize: null })), 'recipe.layers.0.set.groupSize');
    assert.equal(fieldOf(rule({ activationBits: 2 })), 'recipe.layers.0.set.activationBits');
  }
});

test('settings that contradict each other are refused, and allowed alone', () => {
  assert.equal(fieldOf({ method: 'int8', firstLast: { bits: 2 } }), 'recipe.firstLast.bits');
  assert.equal(fieldOf({ method: 'int8', firstLast: { bits: 4 } }), 'recipe.firstLast.bits');
  assert.equal(fieldOf({ method: 'int4', firstLast: { bits: 2 } }), 'recipe.firstLast.bits');
  checkRecipe({ method: 'int4', firstLast: { bits: 4 } });
  const rule = (set: LayerSettings) => ({
    layers: [{ match: { name: '*' }, set }],
  });
  assert.equal(fieldOf(rule({ exclude: true, bits: 8 })), 'recipe.layers.0.set');
  assert.equal(fieldOf(rule({ bits: null, activationBits: 4 })), 'recipe.layers.0.set.activationBits');
  assert.equal(fieldOf(rule({ bits: 8, groupSize: 4 })), 'recipe.layers.0.set.groupSize');
  assert.equal(fieldOf(rule({ bits: 4, planes: 2 })), 'recipe.layers.0.set.planes');
  checkRecipe(rule({ bits: 4, groupSize: 128 }));
  for (const set of [{ exclude: true }, { bits: null }, { activationBits: 4 as const }, { groupSize: 4 as const }])
    checkRecipe(rule(set));
});

test('a search chooses precisions itself, and only the method auto searches', () => {
  assert.equal(fieldOf({ method: 'auto', weights: { groupSize: 4 } }), 'recipe.weights.groupSize');
  assert.equal(fieldOf({ method: 'auto', weights: { residualPlanes: 0.5 } }), 'recipe.weights.residualPlanes');
  assert.equal(fieldOf({ method: 'auto', firstLast: { bits: 8 } }), 'recipe.firstLast');
  assert.equal(fieldOf({ method: 'auto', paper: true }), 'recipe.method');
  assert.equal(fieldOf({ search: { minutes: 1 } }), 'recipe.search');
  checkRecipe({ method: 'auto', search: { maxBytes: 1e6 }, layers: [{ match: { name: '*' }, set: { bits: 8 } }] });
  const { search, sensitivity, weights } = resolveRecipe({ method: 'auto', search: { minutes: 1 } });
  assert.deepEqual([search, sensitivity, weights.solver], [{ evaluations: 24, minutes: 1 }, true, 'feedback']);
  assert.deepEqual([resolveRecipe({}).search, resolveRecipe({}).sensitivity], [null, false]);
});

test('a training has epochs or minutes, and batches that its workers can share', () => {
  assert.equal(fieldOf({ fineTune: { epochs: 2, minutes: 1 } }), 'recipe.fineTune.minutes');
  assert.equal(fieldOf({ fineTune: { batch: 63 } }), 'recipe.fineTune.batch');
  assert.equal(fieldOf({ fineTune: { workers: 3 } }), 'recipe.fineTune.batch');
  checkRecipe({ fineTune: { batch: 63, workers: 3 } });
  checkRecipe({ method: 'int8', fineTune: { minutes: 0.1 } });
});

test('a training takes ten minutes unless told, in steps of one per cent', () => {
  assert.equal(resolveRecipe({}).fineTune, null);
  const resolved = (fineTune: NonNullable<Recipe['fineTune']>) => resolveRecipe({ fineTune }).fineTune;
  const { epochs, minutes, loss, optimiser, learningRate } = resolved({})!;
  assert.deepEqual([epochs, minutes, loss, optimiser, learningRate], [null, 10, null, 'adamw', 0.005]);
  assert.equal(resolved({ epochs: 2 })!.minutes, null);
  assert.equal(resolved({ minutes: 2 })!.epochs, null);
  assert.equal(resolved({ optimiser: 'sgd' })!.learningRate, 1e-2);
  assert.equal(resolved({ optimiser: 'sgd', learningRate: 0.1 })!.learningRate, 0.1);
  assert.deepEqual(resolved({ augment: { mirror: true } })!.augment, { crop: 1, shift: 0, mirror: true, mix: false });
});

test('uniform networks are normalized by the batch in training unless told', () => {
  const normalizes = (method: 'fgq' | 'uniform', fineTune: NonNullable<Recipe['fineTune']>) =>
    resolveRecipe({ method, fineTune }).fineTune!.normalize;
  assert.deepEqual([normalizes('fgq', {}), normalizes('uniform', {})], [false, true]);
  assert.deepEqual(
    [normalizes('fgq', { normalize: true }), normalizes('uniform', { normalize: false })],
    [true, false],
  );
});

test('the schema refuses trainings of no length and images that are moved by parts of pixels', () => {
  for (const fineTune of [
    { epochs: 0 },
    { minutes: 0 },
    { learningRate: 0 },
    { workers: 0 },
    { loss: 'labels' },
    { features: { layers: [] } },
    { weightScales: 'pact' },
    { augment: { shift: 0.5 } },
    { rate: 1 },
  ]) {
    assert.equal(Value.Check(Recipe, { fineTune }), false, JSON.stringify(fineTune));
  }
});

test('the search for channels goes with every settled precision, and with nothing that needs the layers as they are', () => {
  assert.equal(fieldOf({ method: 'auto', nce: {} }), 'recipe.nce');
  assert.equal(fieldOf({ paper: true, nce: {} }), 'recipe.nce');
  assert.equal(fieldOf({ method: 'nce', nce: { epochs: 2, minutes: 1 } }), 'recipe.nce.minutes');
  assert.equal(fieldOf({ method: 'nce', nce: { epochs: 2, widths: { a: 4 } } }), 'recipe.nce.epochs');
  assert.equal(fieldOf({ method: 'nce', nce: { inherit: 'supernet', widths: { a: 4 } } }), 'recipe.nce.inherit');
  const features = { layers: [{ name: '*' }] };
  assert.equal(fieldOf({ method: 'nce', nce: { start: 'none', widths: { a: 4 } } }), 'recipe.nce.start');
  assert.equal(fieldOf({ method: 'nce', nce: { refine: true, widths: { a: 4 } } }), 'recipe.nce.refine');
  assert.equal(fieldOf({ method: 'nce', nce: { candidates: [0.5, 2.5] } }), 'recipe.nce.candidates');
  checkRecipe({ method: 'nce', nce: { candidates: [0.5, 2.5], expansion: { cap: 2.5 } } });
  assert.equal(fieldOf({ method: 'nce', fineTune: { features } }), 'recipe.fineTune.features');
  assert.equal(fieldOf({ method: 'nce', equalize: true }), 'recipe.equalize');
  assert.equal(fieldOf({ method: 'nce', sensitivity: true }), 'recipe.sensitivity');
  assert.equal(fieldOf({ method: 'nce', weights: { groupSize: 64 } }), 'recipe.weights.groupSize');
  for (const method of ['fgq', 'int4', 'int8', 'uniform'] as const) checkRecipe({ method, nce: { epochs: 1 } });
  checkRecipe({ method: 'nce', nce: { minutes: 1 }, layers: [{ match: { op: 'Conv' }, set: { groupSize: 64 } }] });
});

test('the method nce is uniform 2 bits, searched for half an hour and trained for ten minutes unless told', () => {
  const { activations, nce, fineTune } = resolveRecipe({ method: 'nce' });
  assert.deepEqual([activations.bits, activations.shortcuts, nce!.minutes, nce!.epochs], [2, 'wide', 30, null]);
  assert.deepEqual([fineTune!.minutes, fineTune!.normalize, fineTune!.anchor], [10, true, 0]);
  assert.deepEqual(nce!.budgets, { macs: 1, parameters: 1, bytes: null });
  assert.deepEqual(resolveRecipe({ method: 'nce', nce: { candidates: [0.5] } }).nce!.candidates, [0.5, 1]);
  assert.equal(resolveRecipe({ method: 'uniform' }).nce, null);
  const ternary = resolveRecipe({ nce: { epochs: 1 } });
  assert.deepEqual([ternary.method, ternary.nce!.epochs, ternary.fineTune!.normalize], ['fgq', 1, false]);
  const { minutes, inherit } = resolveRecipe({ method: 'nce', nce: { widths: { a: 4 } } }).nce!;
  assert.deepEqual([minutes, inherit], [null, 'model']);
});

test('labels are for classes, and for samples that are one thing', () => {
  assert.equal(fieldOf({ fineTune: { labels: 0.1, loss: 'mse' } }), 'recipe.fineTune.labels');
  assert.equal(fieldOf({ fineTune: { labels: 1, augment: { mix: true } } }), 'recipe.fineTune.augment.mix');
  checkRecipe({ fineTune: { labels: 1, loss: 'distill', augment: { shift: 1 } } });
});
