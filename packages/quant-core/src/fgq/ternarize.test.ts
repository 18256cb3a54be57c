import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { TritforgeError } from '@tritforge/contracts';
import { MAX_GROUP_CODE } from './group-codes.js';
import type { WeightLayout } from './grouping.js';
import { gaussianWeights } from './random-weights.js';
import { dequantize, relativeError, toInt8Weights } from './reconstruct.js';
import { type TernaryWeights, ternarize } from './ternarize.js';

const LAYOUT: WeightLayout = { outputChannels: 3, inputChannels: 10, taps: 4 };
const COUNT = 120;

/** α̂ of the group that holds weight [oc, ic, tap]. */
function roundedAlpha({ layout, groupSize, groupCodes, channelScales }: TernaryWeights, index: number): number {
  const { inputChannels, taps } = layout;
  const oc = Math.floor(index / (inputChannels * taps));
  const ic = Math.floor(index / taps) % inputChannels;
  const groups = Math.ceil(inputChannels / groupSize);
  return groupCodes[(oc * groups + Math.floor(ic / groupSize)) * taps + (index % taps)]! * channelScales[oc]!;
}

describe('ternarizing a weight tensor', () => {
  it('groups neighbouring input channels at one output channel and kernel position', () => {
    // The magnitude of a weight names its group; each group has another one, and all weights of it are equal.
    const magnitude = (oc: number, g: number, tap: number) => 64 - 8 * g - 2 * tap - oc;
    const weights = Float32Array.from({ length: COUNT }, (_, i) => {
      const [oc, ic, tap] = [Math.floor(i / 40), Math.floor(i / 4) % 10, i % 4];
      return magnitude(oc, Math.floor(ic / 4), tap) * (i % 3 ? 1 : -1);
    });
    weights[0] = -64;
    const ternary = ternarize(weights, LAYOUT, 4);
    assert.deepEqual(
      ternary.codes,
      Int8Array.from(weights, (w) => Math.sign(w)),
    );
    assert.equal(ternary.groupCodes.length, 3 * 3 * 4);
    assert.ok(relativeError(weights, dequantize(ternary)) < 2e-5);
    weights.forEach((w, i) => {
      assert.ok(Math.abs(roundedAlpha(ternary, i) - Math.abs(w)) <= ternary.channelScales[Math.floor(i / 40)]!);
    });
  });

  it('keeps a weight exactly when it is larger than half the rounded scale of its group', () => {
    const layout = { outputChannels: 8, inputChannels: 70, taps: 9 };
    for (const groupSize of [1, 4, 8, 16, 64]) {
      const weights = gaussianWeights(8 * 70 * 9, groupSize);
      const ternary = ternarize(weights, layout, groupSize);
      weights.forEach((w, i) => {
        const alpha = roundedAlpha(ternary, i);
        const expected = alpha > 0 && Math.abs(w) > alpha / 2 ? Math.sign(w) : 0;
        assert.equal(ternary.codes[i], expected);
      });
    }
  });

  it('treats a short last group like one padded with zeros', () => {
    const weights = gaussianWeights(COUNT, 7);
    const padded = new Float32Array(3 * 12 * 4);
    for (let oc = 0; oc < 3; oc++) padded.set(weights.subarray(oc * 40, (oc + 1) * 40), oc * 48);
    const short = ternarize(weights, LAYOUT, 4);
    const full = ternarize(padded, { ...LAYOUT, inputChannels: 12 }, 4);
    assert.deepEqual(short.groupCodes, full.groupCodes);
    assert.deepEqual(short.channelScales, full.channelScales);
    for (let oc = 0; oc < 3; oc++) {
      assert.deepEqual(short.codes.subarray(oc * 40, (oc + 1) * 40), full.codes.subarray(oc * 48, oc * 48 + 40));
      assert.ok(full.codes.subarray(oc * 48 + 40, (oc + 1) * 48).every((code) => code === 0));
    }
  });

  it('gives int8 weights that no pair of uint8 products can saturate', () => {
    const layout = { outputChannels: 20, inputChannels: 64, taps: 9 };
    for (const groupSize of [4, 64]) {
      const values = toInt8Weights(ternarize(gaussianWeights(20 * 64 * 9, 3), layout, groupSize));
      assert.equal(values.reduce((a, b) => Math.max(a, Math.abs(b)), 0) <= MAX_GROUP_CODE, true);
    }
  });

  it('gives the same result every time, without touching the weights', () => {
    const weights = gaussianWeights(COUNT, 11);
    const copy = weights.slice();
    assert.deepEqual(ternarize(weights, LAYOUT, 4), ternarize(weights, LAYOUT, 4));
    assert.deepEqual(weights, copy);
  });

  it('follows negation, scaling by powers of two and permutations', () => {
    const weights = gaussianWeights(COUNT, 13);
    const plain = ternarize(weights, LAYOUT, 5);

    const negated = ternarize(
      weights.map((w) => -w),
      LAYOUT,
      5,
    );
    assert.deepEqual(negated, { ...plain, codes: plain.codes.map((t) => -t) });

    const scaled = ternarize(
      weights.map((w) => w * 2 ** -40),
      LAYOUT,
      5,
    );
    assert.deepEqual(scaled, { ...plain, channelScales: plain.channelScales.map((s) => s * 2 ** -40) });

    const reversedChannels = Float32Array.from(weights, (_, i) => weights[(2 - Math.floor(i / 40)) * 40 + (i % 40)]!);
    const permuted = ternarize(reversedChannels, LAYOUT, 5);
    assert.deepEqual(permuted.channelScales, plain.channelScales.toReversed());
    assert.deepEqual(permuted.codes.subarray(0, 40), plain.codes.subarray(80));

    const swapped = weights.slice();
    [swapped[0], swapped[16]] = [weights[16]!, weights[0]!]; // input channels 0 and 4 of one group
    const within = ternarize(swapped, LAYOUT, 5);
    assert.deepEqual(within.groupCodes, plain.groupCodes);
    assert.deepEqual([within.codes[0], within.codes[16]], [plain.codes[16], plain.codes[0]]);
  });

  it('keeps its relative error for weights near the ends of float32', () => {
    const weights = gaussianWeights(COUNT, 17);
    const errorAt = (scale: number) => {
      const scaled = weights.map((w) => w * scale);
      return relativeError(scaled, dequantize(ternarize(scaled, LAYOUT, 4)));
    };
    const expected = errorAt(1);
    for (const scale of [2 ** 125, 2 ** -110, 2 ** -130]) assert.ok(Math.abs(errorAt(scale) - expected) < 1e-3);
    const largest = new Float32Array(COUNT).fill(3.4028234663852886e38);
    assert.deepEqual(dequantize(ternarize(largest, LAYOUT, 4)), largest);
  });

  it('gives channels of zeros zero codes and a positive scale', () => {
    const weights = gaussianWeights(COUNT, 19).fill(0, 40, 80);
    const ternary = ternarize(weights, LAYOUT, 4);
    assert.ok(ternary.codes.subarray(40, 80).every((code) => code === 0));
    assert.ok(ternary.groupCodes.subarray(12, 24).every((code) => code === 0));
    assert.ok(ternary.channelScales.every((scale) => scale > 0));
  });

  it('respects a lower bound of the scales and still takes the best codes', () => {
    const weights = gaussianWeights(COUNT, 23);
    const plain = ternarize(weights, LAYOUT, 4);
    const minimumScales = Float32Array.of(0, 0.4, 1e6);
    const bounded = ternarize(weights, LAYOUT, 4, { minimumScales });
    assert.deepEqual(bounded.channelScales, Float32Array.of(plain.channelScales[0]!, 0.4, 1e6));
    assert.deepEqual(bounded.codes.subarray(0, 40), plain.codes.subarray(0, 40));
    assert.ok(bounded.codes.subarray(80).every((code) => code === 0));
    const middle = { ...LAYOUT, outputChannels: 1 };
    const error = relativeError(weights.subarray(40, 80), dequantize(bounded).subarray(40, 80));
    const plainError = relativeError(weights.subarray(40, 80), dequantize(ternarize(weights.slice(40, 80), middle, 4)));
    assert.ok(error > plainError && error < plainError + 0.04, `${error} against ${plainError}`);
  });

  it('refuses weights that are not finite, naming the first', () => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      for (const groupSize of [4, 10]) {
        const weights = gaussianWeights(COUNT, 29);
        weights[57] = value;
        assert.throws(
          () => ternarize(weights, LAYOUT, groupSize),
          (error) =>
            error instanceof TritforgeError &&
            error.code === 'MODEL_NONFINITE_WEIGHTS' &&
            error.message === `weight 57 of 120 is ${value}`,
        );
      }
    }
  });

  it('refuses arguments that do not fit each other', () => {
    const weights = gaussianWeights(COUNT, 31);
    assert.throws(() => ternarize(weights, { ...LAYOUT, taps: 3 }, 4), { message: /3×10×3 has 90 weights, got 120/ });
    assert.throws(() => ternarize(weights, { ...LAYOUT, taps: 0 }, 4), { message: /layout\.taps/ });
    assert.throws(() => ternarize(weights, LAYOUT, 0), { message: /groupSize/ });
    assert.throws(() => ternarize(weights, LAYOUT, 2.5), { message: /groupSize/ });
    for (const minimumScales of [new Float32Array(2), Float32Array.of(0, -1, 0), Float32Array.of(0, Number.NaN, 0)]) {
      assert.throws(() => ternarize(weights, LAYOUT, 4, { minimumScales }), { message: /minimumScales/ });
    }
  });
});
