import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { chooseChannelScale } from './channel-scale.js';
import { chooseGroupCode, MAX_GROUP_CODE } from './group-codes.js';
import { gaussianWeights, uniformNumbers } from './random-weights.js';
import { solveGroup } from './solve-group.js';

function prefixSumsOf(weights: Float32Array): Float64Array {
  let sum = 0;
  return Float64Array.from(weights.map(Math.abs).sort().reverse(), (magnitude) => {
    sum += magnitude;
    return sum;
  });
}

/** ‖w − α̂ t‖² with the best t. */
function errorAt(weights: Float32Array, alpha: number): number {
  return weights.reduce((sum, w) => sum + Math.min(w * w, (Math.abs(w) - alpha) ** 2), 0);
}

function leastErrorOverCodes(weights: Float32Array, scale: number): number {
  return Math.min(...Array.from({ length: MAX_GROUP_CODE + 1 }, (_, code) => errorAt(weights, code * scale)));
}

describe('group codes', () => {
  it('keep two products with uint8 activations within int16, and are the largest that do', () => {
    assert.ok(255 * 2 * MAX_GROUP_CODE <= 32767);
    assert.ok(255 * 2 * (MAX_GROUP_CODE + 1) > 32767);
  });

  it('have the least error of all codes at their scale', () => {
    const uniform = uniformNumbers(5);
    for (let seed = 0; seed < 500; seed++) {
      const weights = gaussianWeights(1 + (seed % 20), seed);
      const scale = 10 ** (uniform() * 4 - 3); // from clipped to rounded to zero
      const code = chooseGroupCode(prefixSumsOf(weights), 0, weights.length, scale);
      const least = leastErrorOverCodes(weights, scale);
      assert.ok(errorAt(weights, code * scale) <= least * (1 + 1e-12), `seed ${seed}, scale ${scale}, code ${code}`);
    }
  });

  it('turn a small group into zeros only where that loses less than code 1', () => {
    assert.equal(chooseGroupCode(prefixSumsOf(Float32Array.of(0.49, 0.49)), 0, 2, 1), 0);
    assert.equal(chooseGroupCode(prefixSumsOf(Float32Array.of(0.51, 0.51)), 0, 2, 1), 1);
    // α = 0.4 rounds to 0, yet code 1 on the larger weight alone is better than zeros.
    assert.equal(chooseGroupCode(prefixSumsOf(Float32Array.of(0.55, 0.3, 0.35)), 0, 3, 1), 1);
  });
});

describe('the scale of a channel', () => {
  const channelOf = (groupCount: number, groupSize: number, seed: number) => {
    const weights = gaussianWeights(groupCount * groupSize, seed);
    const groups = Array.from({ length: groupCount }, (_, g) => weights.subarray(g * groupSize, (g + 1) * groupSize));
    const solutions = groups.map(solveGroup);
    const scale = chooseChannelScale([
      {
        alphas: Float64Array.from(solutions, ({ alpha }) => alpha),
        counts: Int32Array.from(solutions, ({ count }) => count),
      },
    ]);
    const start = Math.max(...solutions.map(({ alpha }) => alpha)) / MAX_GROUP_CODE;
    const exactError = solutions.reduce((sum, { squaredError }) => sum + squaredError, 0);
    const costOf = (s: number) =>
      groups.reduce((sum, group) => {
        const code = chooseGroupCode(prefixSumsOf(group), 0, groupSize, s);
        return sum + errorAt(group, code * s);
      }, -exactError);
    return { scale, start, costOf };
  };

  it('costs less than the scale of the largest group, and no more than the best of 300 scales', () => {
    let [chosen, plain, least] = [0, 0, 0];
    for (let seed = 1; seed <= 8; seed++) {
      const { scale, start, costOf } = channelOf(144, 4, seed);
      chosen += costOf(scale);
      plain += costOf(start);
      const candidates = Array.from({ length: 300 }, (_, i) => costOf(start * (0.4 + (0.65 * i) / 300)));
      least += Math.min(...candidates);
    }
    assert.ok(chosen < 0.96 * plain, `${chosen} against ${plain}`);
    assert.ok(chosen <= least, `${chosen} against ${least}`);
  });

  it('is exact for a single group', () => {
    assert.equal(chooseChannelScale([{ alphas: Float64Array.of(32), counts: Int32Array.of(3) }]), 0.5);
  });

  it('is a positive float32 whatever the weights', () => {
    const scaleOf = (...alphas: number[]) =>
      chooseChannelScale([{ alphas: Float64Array.from(alphas), counts: new Int32Array(alphas.length).fill(1) }]);
    for (const scale of [scaleOf(0, 0), scaleOf(2 ** -149), scaleOf(2 ** -149, 2 ** -140), scaleOf(3.4e38, 3e38)]) {
      assert.ok(scale > 0 && Math.fround(scale) === scale && Number.isFinite(Math.fround(scale * MAX_GROUP_CODE)));
    }
  });
});
