import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkRecipe, resolveRecipe } from '@tritforge/contracts';
import { DEFAULT_COLUMN, STEP_COLUMNS, VARIANTS, variantName } from './variants.js';

const found = (column: string, groupSize: number | null) =>
  resolveRecipe(VARIANTS.find((variant) => variant.column === column && variant.groupSize === groupSize)!.recipe);

test('every variant has a recipe that is accepted, a name and settings of its own', () => {
  for (const { recipe } of VARIANTS) checkRecipe(recipe);
  assert.equal(new Set(VARIANTS.map(variantName)).size, VARIANTS.length);
  assert.equal(new Set(VARIANTS.map(({ recipe }) => JSON.stringify(resolveRecipe(recipe)))).size, VARIANTS.length);
});

test('all steps are there at all five group sizes', () => {
  for (const column of STEP_COLUMNS) {
    const sizes = VARIANTS.filter((variant) => variant.column === column).map(({ groupSize }) => groupSize);
    assert.deepEqual(sizes, [64, 32, 16, 8, 4], column);
  }
});

test('each step differs from the one before it as its name says', () => {
  const settings = (column: string) => {
    const { paper, weights, correction, activations } = found(column, 16);
    return [paper, weights.solver, weights.target, correction.length, weights.residualPlanes, activations.range];
  };
  assert.deepEqual(STEP_COLUMNS.map(settings), [
    [true, 'exact', 'weights', 0, 0, 'dfp'],
    [false, 'exact', 'weights', 2, 0, 'mse'],
    [false, 'weighted', 'weights', 0, 0, 'mse'],
    [false, 'feedback', 'weights', 0, 0, 'mse'],
    [false, 'feedback', 'weights', 2, 0, 'mse'],
    [false, 'feedback', 'outputs', 2, 0, 'mse'],
    [false, 'feedback', 'outputs', 2, 0.25, 'mse'],
  ]);
});

test('the default is what a recipe gives that names the group size alone', () => {
  assert.deepEqual(found(DEFAULT_COLUMN, 64), resolveRecipe({}));
});

test('activations have 8 bits but where the column says 4', () => {
  for (const { column, recipe } of VARIANTS) {
    assert.equal(resolveRecipe(recipe).activations.bits, column.startsWith('4-bit activations') ? 4 : 8, column);
  }
});
