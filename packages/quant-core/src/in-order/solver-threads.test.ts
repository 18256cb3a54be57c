import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { type LayerPrecision, resolveRecipe } from '@tritforge/contracts';
import { gaussianWeights } from '../fgq/random-weights.js';
import type { Layer, PlannedLayer } from '../layers/layer.js';
import { randomMoments } from '../solve/testing.js';
import { groupProblem } from './solve-channels.js';
import { type SolveWholeOptions, solveWhole, solveWholeInThreads } from './solve-whole.js';
import { SolverThreads } from './solver-threads.js';

const CHANNELS = 22;
const INPUTS = 9;
const TAPS = 4;
const PARTS = 2;

/** A convolution with two groups, the last group of each tap short. */
const layout = { outputChannels: CHANNELS, inputChannels: INPUTS, taps: TAPS };
const weights = Float32Array.from(gaussianWeights(CHANNELS * INPUTS * TAPS, 3));
const bias = Float32Array.from(gaussianWeights(CHANNELS, 4));

function planned(applied: Partial<LayerPrecision>): PlannedLayer {
  const precision: LayerPrecision = { bits: 2, groupSize: 8, planes: 1, activationBits: null, ...applied };
  return { layer: { layout } as Layer, requested: precision, applied: precision, reason: null };
}

function options(recipe: Parameters<typeof resolveRecipe>[0], hasBias: boolean): SolveWholeOptions {
  const part = { ...layout, outputChannels: CHANNELS / PARTS };
  const perPart = weights.length / PARTS;
  const moments = Array.from({ length: PARTS }, (_, i) =>
    randomMoments(weights.slice(i * perPart, (i + 1) * perPart), part, { seed: 10 * i + 1, drift: 0.1 }),
  );
  const minimumScales = new Float32Array(CHANNELS).fill(1e-3);
  return { moments, bias: hasBias ? bias : null, recipe: resolveRecipe(recipe), minimumScales };
}

describe('layers solved in threads', () => {
  const pools = [1, 2, 3].map((count) => new SolverThreads(count, 1));
  after(() => Promise.all(pools.map((threads) => threads.close())));

  for (const [name, applied, recipe, hasBias] of [
    ['ternary weights', {}, {}, true],
    ['ternary weights without a bias', {}, {}, false],
    ['two planes', { planes: 2 }, {}, true],
    ['weighted ternary weights that aim at outputs', {}, { weights: { solver: 'weighted', target: 'outputs' } }, true],
    ['nearest ternary weights', {}, { weights: { solver: 'exact' } }, true],
    ['int4 weights', { bits: 4 }, {}, true],
    ['uniform weights', { groupSize: null, planes: null }, {}, true],
    ['nearest uniform weights', { groupSize: null, planes: null }, { weights: { solver: 'exact' } }, true],
    ['int8 weights', { bits: 8, groupSize: null, planes: null }, {}, true],
  ] as const) {
    it(`have the same ${name} whatever the number of threads`, async () => {
      const layer = planned(applied);
      const how = options(recipe as Parameters<typeof resolveRecipe>[0], hasBias);
      const alone = solveWhole(weights, layer, how);
      for (const threads of pools) {
        assert.deepEqual(await solveWholeInThreads(weights, layer, how, threads), alone, `${threads.count} threads`);
      }
    });
  }

  it('are searched in windows unless they are large', () => {
    const how = options({}, true);
    const searchesOf = (length: number) =>
      groupProblem(
        {
          ...{ ...how, moments: how.moments[0]!, minimumScales: undefined, applied: planned({}).applied },
          ...{ layout, weights: new Float32Array(length) },
        },
        false,
      ).searches;
    assert.deepEqual([searchesOf(2 ** 21), searchesOf(2 ** 22)], [undefined, 0]);
  });

  it('fail as they do on one thread', async () => {
    const broken = weights.slice();
    broken[CHANNELS * INPUTS] = Number.NaN;
    await assert.rejects(solveWholeInThreads(broken, planned({}), options({}, true), pools[1]!), {
      name: 'TritforgeError',
      code: 'MODEL_NONFINITE_WEIGHTS',
    });
  });

  it('stop at once when the work is canceled, after which others can be solved', async () => {
    const how = options({}, true);
    const abort = new AbortController();
    const running = solveWholeInThreads(weights, planned({}), how, pools[1]!, abort.signal);
    abort.abort();
    await assert.rejects(running, { code: 'CANCELED' });
    await solveWholeInThreads(weights, planned({}), how, pools[1]!);
  });
});
