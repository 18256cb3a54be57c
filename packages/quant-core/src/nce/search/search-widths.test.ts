import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { temporaryFolder } from '../../testing/temporary-folder.js';
import { storeTuningSamples } from '../../train/tuning-samples.js';
import { START_SHARES } from '../candidates.js';
import { costOf, networkCost } from '../cost.js';
import { images, smallSearch } from '../testing.js';
import type { SearchEpoch, SearchOptions } from './search-options.js';
import { searchWidths } from './search-widths.js';

const EPOCHS = 4;

async function setUp(t: TestContext, changes: Partial<SearchOptions> = {}) {
  const search = await smallSearch(t, 8);
  const { macs } = networkCost(search.template, search.graph);
  const asItIs = costOf(macs, search.graph);
  const scratchDir = temporaryFolder(t);
  const options: SearchOptions = {
    teacher: search.original,
    loss: { kind: 'mse' },
    activationQuantizer: 'lsq',
    weightScales: 'sawb',
    mixing: 'interpolate',
    threads: 2,
    augmentation: null,
    seed: 5,
    scratchDir,
    samples: await storeTuningSamples({ data: images(80), labels: null, batch: 8, threads: 2, scratchDir }),
    length: { epochs: EPOCHS },
    learningRate: 0.01,
    logits: { learningRate: 0.02, decay: 1e-3 },
    temperature: { from: 10, to: 0.1 },
    bilevel: true,
    warmUp: 0.3,
    shares: START_SHARES,
    expansion: { threshold: 0.3, step: 0.1, cap: 2 },
    budgets: [{ terms: macs, limit: asItIs }],
    budgetWeight: 2,
    ...changes,
  };
  return { search, options, macs, asItIs };
}

/** Everything that a search ends with. */
async function ended(t: TestContext, changes: Partial<SearchOptions> = {}) {
  const { search, options } = await setUp(t, changes);
  const state = await searchWidths(search, options);
  await state.supernet.close();
  const candidates = [...state.choices].map(([id, { channels, logits }]) => [id, channels, [...logits]]);
  const course = state.course.map(({ seconds: _, ...epoch }) => epoch);
  return { candidates, course, latent: state.latent, affines: state.affines };
}

test('a search gives the same in every run', async (t) => {
  const first = await ended(t);
  assert.equal(first.course.length, EPOCHS);
  assert.deepEqual(await ended(t), first);
});

test('choices may be made by the samples that weights learn from', async (t) => {
  const { course } = await ended(t, { bilevel: false });
  assert.equal(course.length, EPOCHS);
  for (const { weightLoss, choiceLoss } of course) assert.equal(choiceLoss, weightLoss);
});

test('larger candidates join once the search is warm, where they look best', async (t) => {
  const { course, candidates } = await ended(t, { expansion: { threshold: 0, step: 0.1, cap: 1.5 } });
  const largest = (epoch: number) => course[epoch]!.choices.map(({ channels }) => channels.at(-1)!);
  assert.deepEqual(largest(1), largest(0));
  assert.deepEqual(
    largest(2),
    largest(1).map((channels) => channels + 1),
  );
  // To 1.5 times the channels and no further.
  assert.deepEqual(
    candidates.map(([, channels]) => (channels as number[]).at(-1)),
    [6, 8, 6, 8],
  );
});

test('budgets lower what the likeliest widths cost', async (t) => {
  const { asItIs, macs } = await setUp(t);
  const costs = async (limit: number) =>
    (await ended(t, { budgets: [{ terms: macs, limit }], budgetWeight: 20, learningRate: 1e-6 })).course.at(-1)!
      .costs[0]! * limit;
  assert.ok((await costs(0.2 * asItIs)) < 0.8 * (await costs(2 * asItIs)));
});

test('a search that was interrupted ends as one that was not', async (t) => {
  const expected = await ended(t, { expansion: { threshold: 0, step: 0.1, cap: 1.5 } });
  const path = join(temporaryFolder(t), 'search.training');
  const changes = { expansion: { threshold: 0, step: 0.1, cap: 1.5 }, checkpoint: { path, identity: 'test' } };
  const abort = new AbortController();
  const onStep: SearchOptions['onStep'] = ({ epoch }) => epoch === 4 && abort.abort();
  await assert.rejects(ended(t, { ...changes, onStep, signal: abort.signal }), { code: 'CANCELED' });
  assert.ok(existsSync(path));
  const epochs: SearchEpoch[] = [];
  assert.deepEqual(await ended(t, { ...changes, onEpoch: (epoch) => epochs.push(epoch) }), expected);
  assert.deepEqual(
    epochs.map(({ epoch }) => epoch),
    [4],
  );
});

test('a search that has to settle ends with what is likeliest', async (t) => {
  const settle = new AbortController();
  const { course } = await ended(t, { settle: settle.signal, onStep: ({ epoch }) => epoch === 2 && settle.abort() });
  assert.equal(course.length, 2);
});

test('a search in minutes ends in time', async (t) => {
  const { options, search } = await setUp(t, { length: { minutes: 1 / 60 } });
  const state = await searchWidths(search, options);
  await state.supernet.close();
  const temperatures = state.course.map(({ temperature }) => temperature);
  assert.ok(temperatures.length > 0 && temperatures.every((temperature) => temperature < 10));
  assert.deepEqual(
    temperatures,
    temperatures.toSorted((a, b) => b - a),
  );
});
