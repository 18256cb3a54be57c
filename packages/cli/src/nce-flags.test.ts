import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { recipeOf } from './recipe-flags.js';
import { folder } from './testing/run-cli.js';

test('flags say how long the search for channels takes and what the network may cost', async () => {
  const searchOf = async (flags: object) => (await recipeOf({ recipe: 'nce', ...flags })).nce;
  assert.equal(await searchOf({}), undefined);
  assert.deepEqual(await searchOf({ nceEpochs: 40 }), { epochs: 40 });
  assert.deepEqual(await searchOf({ nceMinutes: 0.5 }), { minutes: 0.5 });
  assert.deepEqual(await searchOf({ nceMaxMacs: 0.5 }), { budgets: { macs: 0.5 } });
  assert.deepEqual(await searchOf({ nceEpochs: 2, nceMaxMacs: 1.2, nceMaxParameters: 2 }), {
    epochs: 2,
    budgets: { macs: 1.2, parameters: 2 },
  });
});

test('flags change the search of a recipe, and another length takes the place of its own', async () => {
  const recipe = join(folder, 'nce.json');
  const nce = { minutes: 30, budgetWeight: 4, budgets: { macs: { atMost: 1000 }, parameters: 0.5 } };
  writeFileSync(recipe, JSON.stringify({ method: 'nce', nce }));
  const searchOf = async (flags: object) => (await recipeOf({ recipe, ...flags })).nce;
  assert.deepEqual(await searchOf({}), nce);
  assert.deepEqual(await searchOf({ nceMinutes: 5 }), { ...nce, minutes: 5 });
  const { minutes: _, ...rest } = nce;
  assert.deepEqual(await searchOf({ nceEpochs: 2 }), { ...rest, epochs: 2 });
  assert.deepEqual(await searchOf({ nceMaxMacs: 1 }), { ...nce, budgets: { macs: 1, parameters: 0.5 } });
  await assert.rejects(searchOf({ nceMinutes: 5, nceEpochs: 2 }), { code: 'RECIPE_INVALID' });
});

test('training data go with the search, which other methods have too where it is asked for', async () => {
  const searched = await recipeOf({ recipe: 'nce', training: 'images.zip' });
  assert.deepEqual(searched, { method: 'nce', fineTune: {} });
  assert.deepEqual(await recipeOf({ recipe: 'nce', training: 'images.zip', nceEpochs: 1, fineTuneEpochs: 2 }), {
    method: 'nce',
    nce: { epochs: 1 },
    fineTune: { epochs: 2 },
  });
  assert.deepEqual(await recipeOf({ recipe: 'fgq', nceMinutes: 5 }), { method: 'fgq', nce: { minutes: 5 } });
  await assert.rejects(recipeOf({ recipe: 'auto', nceMinutes: 5 }), { code: 'RECIPE_INVALID' });
});
