import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { evenGaussianWeights, evenLaplaceWeights, gaussianWeights, uniformNumbers } from './random-weights.js';
import { type GroupSolution, solveGroup } from './solve-group.js';

/** The least error over all 3^n codes, each with its own best α ≥ 0. */
function bruteForceError(weights: Float32Array): number {
  const squares = weights.reduce((sum, w) => sum + w * w, 0);
  let best = squares;
  const visit = (i: number, dot: number, count: number) => {
    if (i === weights.length) {
      if (count > 0 && dot > 0) best = Math.min(best, squares - dot ** 2 / count);
      return;
    }
    for (const t of [-1, 0, 1]) visit(i + 1, dot + t * weights[i]!, count + Math.abs(t));
  };
  visit(0, 0, 0);
  return best;
}

function randomGroup(length: number, seed: number): Float32Array {
  const uniform = uniformNumbers(seed);
  switch (seed % 3) {
    case 0:
      return gaussianWeights(length, seed);
    case 1:
      return Float32Array.from({ length }, () => Math.log(1 - uniform()) * (uniform() < 0.5 ? -1 : 1));
    default: // small integers: ties everywhere
      return Float32Array.from({ length }, () => Math.floor(uniform() * 9) - 4);
  }
}

function assertConsistent(weights: Float32Array, { alpha, count, codes, squaredError }: GroupSolution): void {
  assert.equal(count, codes.filter((t) => t !== 0).length);
  const error = weights.reduce((sum, w, i) => sum + (w - alpha * codes[i]!) ** 2, 0);
  assert.ok(Math.abs(error - squaredError) <= 1e-12 * (1 + error));
  weights.forEach((w, i) => {
    assert.ok(Math.abs(w) * 2 >= alpha || codes[i] === 0);
    assert.ok(Math.abs(w) * 2 <= alpha || codes[i] === Math.sign(w));
  });
}

describe('solving a group', () => {
  it('finds the least error of all codes and scales on 1000 random groups', () => {
    for (let seed = 0; seed < 1000; seed++) {
      const weights = randomGroup(1 + (seed % 8), seed);
      const solution = solveGroup(weights);
      const least = bruteForceError(weights);
      assert.ok(
        Math.abs(solution.squaredError - least) <= 1e-9 * (1 + least),
        `seed ${seed}: ${solution.squaredError}`,
      );
      assertConsistent(weights, solution);
    }
  });

  it('looks past a local optimum', () => {
    const weights = new Float32Array(41).fill(3);
    weights[0] = -10;
    const solution = solveGroup(weights);
    assert.equal(solution.count, 41);
    assert.equal(solution.alpha, 130 / 41);
  });

  it('gives a group of zeros no scale and no codes', () => {
    assert.deepEqual(solveGroup(new Float32Array(4)), { alpha: 0, count: 0, codes: new Int8Array(4), squaredError: 0 });
  });

  it('takes equal magnitudes together and, between equally good codes, the one with more zeros', () => {
    assert.deepEqual(solveGroup(Float32Array.of(1, -1, 1, -1)).codes, Int8Array.of(1, -1, 1, -1));
    // S²/k is 9 for k = 1 and for k = 4.
    assert.deepEqual(solveGroup(Float32Array.of(1, -3, 1, 1)).codes, Int8Array.of(0, -1, 0, 0));
  });

  it('does not depend on order, sign or scale', () => {
    for (let seed = 0; seed < 300; seed++) {
      const weights = randomGroup(16, seed);
      const { alpha, codes } = solveGroup(weights);
      const reversed = solveGroup(weights.toReversed());
      assert.deepEqual([reversed.alpha, reversed.codes], [alpha, codes.toReversed()]);
      const negated = solveGroup(weights.map((w) => -w));
      assert.deepEqual([negated.alpha, negated.codes], [alpha, codes.map((t) => -t)]);
      const scaled = solveGroup(weights.map((w) => w / 1024));
      assert.deepEqual([scaled.alpha, scaled.codes], [alpha / 1024, codes]);
    }
  });

  it('solves groups of the largest and of the smallest float32 numbers', () => {
    const largest = 3.4028234663852886e38;
    const huge = solveGroup(Float32Array.of(largest, -largest, largest, 1));
    assert.equal(huge.alpha, largest);
    assert.deepEqual(huge.codes, Int8Array.of(1, -1, 1, 0));
    const tiny = solveGroup(Float32Array.of(2 ** -149, 0, -(2 ** -149)));
    assert.equal(tiny.alpha, 2 ** -149);
    assert.deepEqual(tiny.codes, Int8Array.of(1, 0, -1));
  });

  it('approaches the known limits in very large groups', () => {
    const limit = (weights: Float32Array) => {
      const { alpha, count, squaredError } = solveGroup(weights);
      const relativeError = squaredError / weights.reduce((sum, w) => sum + w * w, 0);
      return [relativeError, alpha, 1 - count / weights.length];
    };
    const assertLimit = (actual: number[], expected: number[]) =>
      actual.forEach((value, i) => {
        assert.ok(Math.abs(value - expected[i]!) < 6e-4, `${actual} against ${expected}`);
      });
    assertLimit(limit(evenGaussianWeights(2 ** 17, 1)), [0.1902, 1.224, 0.459]);
    assertLimit(limit(evenLaplaceWeights(2 ** 17, 1)), [0.2642, 2, 0.632]);
  });
});
