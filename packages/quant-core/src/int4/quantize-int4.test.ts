import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { dequantize, relativeError, ternarizeTwice, toInt8Weights, type WeightLayout } from '../fgq/index.js';
import { evenGaussianWeights, gaussianWeights } from '../fgq/random-weights.js';
import { pack4, unpack4 } from './pack.js';
import { type Int4Weights, LARGEST_INT4_GROUP_CODE, quantizeInt4 } from './quantize-int4.js';

const LAYOUT: WeightLayout = { outputChannels: 3, inputChannels: 10, taps: 4 };
const COUNT = 120;
const errorOf = (weights: Float32Array, int4: Int4Weights) => relativeError(weights, dequantize(int4));

/** Round to nearest with the scale of the largest weight of each group, in floating point. */
function plainRoundingError(weights: Float32Array, groupSize: number): number {
  const rounded = weights.slice();
  for (let at = 0; at < weights.length; at += groupSize) {
    const group = rounded.subarray(at, at + groupSize);
    const scale = group.reduce((most, w) => Math.max(most, Math.abs(w)), 0) / 7;
    group.forEach((w, i) => {
      group[i] = Math.round(w / scale) * scale;
    });
  }
  return relativeError(weights, rounded);
}

/** The least squared error with a floating-point scale for each group, found among many. */
function bestError(weights: Float32Array, groupSize: number): number {
  let error = 0;
  for (let at = 0; at < weights.length; at += groupSize) {
    const group = weights.subarray(at, at + groupSize);
    const largest = group.reduce((most, w) => Math.max(most, Math.abs(w)), 0) / 7;
    const errors = Array.from({ length: 80 }, (_, i) => {
      const scale = largest * (0.4 + (0.7 * i) / 80);
      return group.reduce((sum, w) => sum + (w - Math.max(-7, Math.min(7, Math.round(w / scale))) * scale) ** 2, 0);
    });
    error += Math.min(...errors);
  }
  return error / weights.reduce((sum, w) => sum + w * w, 0);
}

describe('4-bit weights in groups', () => {
  it('have less error than rounding to the largest weight of each group, and little more than the best scales', () => {
    const layout = { outputChannels: 32, inputChannels: 2048, taps: 1 };
    const weights = evenGaussianWeights(2 ** 16, 1);
    for (const [groupSize, cost] of [
      [32, 1.05],
      [64, 1.04],
      [128, 1.03],
    ] as const) {
      const error = errorOf(weights, quantizeInt4(weights, layout, groupSize));
      assert.ok(error < 0.92 * plainRoundingError(weights, groupSize), `N = ${groupSize}: ${error}`);
      const best = bestError(weights, groupSize);
      assert.ok(error > best && error < cost * best, `N = ${groupSize}: ${error} against ${best}`);
    }
  });

  it('have less error than two ternary planes of the same size', () => {
    const layout = { outputChannels: 32, inputChannels: 128, taps: 3 };
    const weights = gaussianWeights(32 * 128 * 3, 4);
    const [int4, ternary] = [quantizeInt4(weights, layout, 64), ternarizeTwice(weights, layout, 64)];
    assert.ok(errorOf(weights, int4) < 0.5 * errorOf(weights, ternary));
  });

  it('are exactly int8 weights', () => {
    const layout = { outputChannels: 8, inputChannels: 70, taps: 9 };
    for (const groupSize of [4, 32, 128]) {
      const int4 = quantizeInt4(gaussianWeights(8 * 70 * 9, groupSize), layout, groupSize);
      assert.ok(int4.codes.every((v) => Math.abs(v) <= 7));
      assert.equal(
        int4.groupCodes.reduce((a, b) => Math.max(a, b)),
        LARGEST_INT4_GROUP_CODE,
      );
      const perChannel = 630;
      const products = toInt8Weights(int4).map((_, i) => {
        const [oc, ic, tap] = [Math.floor(i / perChannel), Math.floor(i / 9) % 70, i % 9];
        return (
          int4.codes[i]! * int4.groupCodes[(oc * Math.ceil(70 / groupSize) + Math.floor(ic / groupSize)) * 9 + tap]!
        );
      });
      assert.deepEqual(toInt8Weights(int4), products);
    }
  });

  it('round every weight to the nearest multiple of its group scale', () => {
    const weights = gaussianWeights(COUNT, 5);
    const int4 = quantizeInt4(weights, LAYOUT, 4);
    const decoded = dequantize(int4);
    weights.forEach((w, i) => {
      const [oc, ic, tap] = [Math.floor(i / 40), Math.floor(i / 4) % 10, i % 4];
      const alpha = int4.groupCodes[(oc * 3 + Math.floor(ic / 4)) * 4 + tap]! * int4.channelScales[oc]!;
      assert.ok(Math.abs(decoded[i]! - w) <= alpha / 2 + 1e-6 || Math.abs(int4.codes[i]!) === 7, `weight ${i}`);
    });
  });

  it('treat a short last group like one padded with zeros', () => {
    const weights = gaussianWeights(COUNT, 7);
    const padded = new Float32Array(3 * 12 * 4);
    for (let oc = 0; oc < 3; oc++) padded.set(weights.subarray(oc * 40, (oc + 1) * 40), oc * 48);
    const [short, full] = [quantizeInt4(weights, LAYOUT, 4), quantizeInt4(padded, { ...LAYOUT, inputChannels: 12 }, 4)];
    assert.deepEqual(short.groupCodes, full.groupCodes);
    assert.deepEqual(short.channelScales, full.channelScales);
    for (let oc = 0; oc < 3; oc++)
      assert.deepEqual(short.codes.subarray(oc * 40, (oc + 1) * 40), full.codes.subarray(oc * 48, oc * 48 + 40));
  });

  it('follow negation and scaling by powers of two, and leave the weights alone', () => {
    const weights = gaussianWeights(COUNT, 13);
    const copy = weights.slice();
    const plain = quantizeInt4(weights, LAYOUT, 5);
    assert.deepEqual(weights, copy);
    const negated = quantizeInt4(
      weights.map((w) => -w),
      LAYOUT,
      5,
    );
    assert.deepEqual(negated, { ...plain, codes: plain.codes.map((v) => -v) });
    const scaled = quantizeInt4(
      weights.map((w) => w * 2 ** -40),
      LAYOUT,
      5,
    );
    assert.deepEqual(scaled, { ...plain, channelScales: plain.channelScales.map((s) => s * 2 ** -40) });
  });

  it('keep their relative error for weights near the ends of float32', () => {
    const weights = gaussianWeights(COUNT, 17);
    const expected = errorOf(weights, quantizeInt4(weights, LAYOUT, 4));
    for (const scale of [2 ** 125, 2 ** -110, 2 ** -130]) {
      const scaled = weights.map((w) => w * scale);
      assert.ok(Math.abs(errorOf(scaled, quantizeInt4(scaled, LAYOUT, 4)) - expected) < 1e-3);
    }
  });

  it('of zeros are zeros, and lower bounds of scales hold', () => {
    const weights = gaussianWeights(COUNT, 19).fill(0, 40, 80);
    const { codes, groupCodes, channelScales } = quantizeInt4(weights, LAYOUT, 4, {
      minimumScales: Float32Array.of(0, 0, 1e6),
    });
    assert.ok(codes.subarray(40).every((v) => v === 0) && groupCodes.subarray(12).every((c) => c === 0));
    assert.ok(channelScales[1]! > 0 && channelScales[2] === 1e6);
  });

  it('are refused when they are not finite, naming the first', () => {
    const weights = gaussianWeights(COUNT, 29);
    weights[57] = Number.NaN;
    assert.throws(() => quantizeInt4(weights, LAYOUT, 4), {
      code: 'MODEL_NONFINITE_WEIGHTS',
      message: 'weight 57 of 120 is NaN',
    });
  });
});

describe('packed 4-bit codes', () => {
  it('lie low half first, in two’s complement', () => {
    assert.deepEqual(pack4(Int8Array.of(-7, 7, -1, 1, 3)), Uint8Array.of(0b0111_1001, 0b0001_1111, 0b0000_0011));
  });

  it('unpack to what was packed, at every length', () => {
    for (let count = 0; count < 20; count++) {
      const codes = Int8Array.from({ length: count }, (_, i) => ((i * 5 + 3) % 16) - 8);
      assert.deepEqual(unpack4(pack4(codes), count), codes);
    }
  });

  it('are refused when they are out of range or their number does not fit', () => {
    assert.throws(() => pack4(Int8Array.of(0, 8)), { message: /code 1 is 8/ });
    assert.throws(() => unpack4(new Uint8Array(2), 5), RangeError);
  });
});
