import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { relativeError, type WeightLayout } from '../fgq/index.js';
import { evenGaussianWeights, gaussianWeights } from '../fgq/random-weights.js';
import { packInt2, unpackInt2 } from './pack.js';
import { dequantizeInt2, INT2_UNITS, type Int2Options, int2Units, quantizeInt2 } from './quantize-int2.js';

const LAYOUT: WeightLayout = { outputChannels: 3, inputChannels: 10, taps: 4 };
const COUNT = 120;

const row = (inputChannels: number): WeightLayout => ({ outputChannels: 1, inputChannels, taps: 1 });
const squaredError = (weights: Float32Array, decoded: Float32Array) =>
  weights.reduce((sum, weight, i) => sum + (weight - decoded[i]!) ** 2, 0);

/** The least squared error over all 4ⁿ codes, each with the scale that fits it; 0 is the smallest scale. */
function leastError(weights: Float32Array): number {
  const energy = weights.reduce((sum, weight) => sum + weight * weight, 0);
  let mostGain = 0;
  for (let packed = 0; packed < 4 ** weights.length; packed++) {
    let [pulled, norm] = [0, 0];
    weights.forEach((weight, i) => {
      const code = 2 * ((packed >> (2 * i)) & 3) - 3;
      pulled += code * weight;
      norm += code * code;
    });
    if (pulled > 0) mostGain = Math.max(mostGain, pulled ** 2 / norm);
  }
  return energy - mostGain;
}

describe('uniform 2-bit weights', () => {
  it('have the least squared error of all codes and scales, found by trying all of them', () => {
    for (let seed = 1; seed <= 60; seed++) {
      const length = 1 + (seed % 7);
      const normal = gaussianWeights(length, seed);
      const weights = seed % 3 === 0 ? normal.map((weight) => weight ** 3) : normal;
      const error = squaredError(weights, dequantizeInt2(quantizeInt2(weights, row(length))));
      const least = leastError(weights);
      const energy = weights.reduce((sum, weight) => sum + weight * weight, 0);
      assert.ok(Math.abs(error - least) < 1e-5 * energy, `seed ${seed}: ${error} against ${least}`);
    }
  });

  it('have the error of the optimal four levels on Gaussian weights, and with SAWB little more', () => {
    const layout = { outputChannels: 16, inputChannels: 4096, taps: 1 };
    const weights = evenGaussianWeights(2 ** 16, 1);
    const errorOf = (options: Int2Options) =>
      relativeError(weights, dequantizeInt2(quantizeInt2(weights, layout, options)));
    // The optimal uniform quantizer of four levels: Max, Quantizing for minimum distortion, 1960, table II.
    assert.ok(Math.abs(errorOf({}) - 0.1188) < 2e-3, `${errorOf({})}`);
    const sawb = errorOf({ scale: 'sawb' });
    assert.ok(sawb > errorOf({}) && sawb < 0.125, `${sawb}`);
  });

  it('have the scale of the formula with SAWB', () => {
    const weights = gaussianWeights(40, 2);
    const { scales } = quantizeInt2(weights, row(40), { scale: 'sawb' });
    const mean = (of: (weight: number) => number) => weights.reduce((sum, weight) => sum + of(weight), 0) / 40;
    const expected = (3.12 * Math.sqrt(mean((weight) => weight ** 2)) - 2.064 * mean(Math.abs)) / 3;
    assert.ok(Math.abs(scales[0]! / expected - 1) < 1e-6);
  });

  it('are the nearest levels of scales that are given', () => {
    const weights = Float32Array.of(0.1, -0.1, 1.9, 2.1, -2.1, 7, 0, -0.5);
    const { values, scales } = quantizeInt2(
      weights,
      { outputChannels: 2, inputChannels: 4, taps: 1 },
      {
        scale: Float32Array.of(1, 0.5),
      },
    );
    assert.deepEqual(values, Int8Array.of(1, -1, 1, 3, -3, 3, 1, -1));
    assert.deepEqual(scales, Float32Array.of(1, 0.5));
    for (const scale of [Float32Array.of(1), Float32Array.of(1, 0), Float32Array.of(Number.NaN, 1)]) {
      assert.throws(
        () => quantizeInt2(weights, { outputChannels: 2, inputChannels: 4, taps: 1 }, { scale }),
        RangeError,
      );
    }
  });

  it('are exact for weights that are on such levels', () => {
    const weights = Float32Array.from({ length: COUNT }, (_, i) => [-3, -1, 1, 3][(i * 7) % 4]! * 2 ** -9);
    assert.deepEqual(dequantizeInt2(quantizeInt2(weights, LAYOUT)), weights);
  });

  it('follow negation and scaling by powers of two, and leave the weights alone', () => {
    const weights = gaussianWeights(COUNT, 13);
    const copy = weights.slice();
    const plain = quantizeInt2(weights, LAYOUT);
    assert.deepEqual(weights, copy);
    const negated = quantizeInt2(
      weights.map((w) => -w),
      LAYOUT,
    );
    assert.deepEqual(negated, { ...plain, values: plain.values.map((v) => -v) });
    const scaled = quantizeInt2(
      weights.map((w) => w * 2 ** -40),
      LAYOUT,
    );
    assert.deepEqual(scaled, { ...plain, scales: plain.scales.map((s) => s * 2 ** -40) });
  });

  it('keep their relative error for weights near the ends of float32', () => {
    const weights = gaussianWeights(COUNT, 17);
    const errorOf = (w: Float32Array) => relativeError(w, dequantizeInt2(quantizeInt2(w, LAYOUT)));
    for (const scale of [2 ** 125, 2 ** -110, 2 ** -130]) {
      assert.ok(Math.abs(errorOf(weights.map((w) => w * scale)) - errorOf(weights)) < 1e-3);
    }
  });

  it('of zeros have a scale that hardly moves a float, and lower bounds of units hold', () => {
    const weights = gaussianWeights(COUNT, 19).fill(0, 40, 80);
    const { values, scales } = quantizeInt2(weights, LAYOUT, { minimumScales: Float32Array.of(0, 0, 1e6) });
    assert.ok(values.subarray(40).every((value) => Math.abs(value) === 1));
    assert.ok(scales[1]! > 0 && scales[1]! < 1e-15);
    assert.equal(int2Units(scales)[2], 1e6);
  });

  it('have units that are positive, however small weights are, and levels that are multiples of them within ±64', () => {
    for (const size of [1e-45, 1e-30, 1, 1e30]) {
      const weights = quantizeInt2(
        gaussianWeights(COUNT, 23).map((weight) => weight * size),
        LAYOUT,
      );
      const units = int2Units(weights.scales);
      assert.ok(units.every((unit) => unit > 0));
      dequantizeInt2(weights).forEach((weight, i) => {
        const levels = weight / units[Math.floor(i / 40)]!;
        const level = INT2_UNITS * weights.values[i]!;
        assert.ok(Math.abs(level) <= 64 && Math.abs(levels - level) < 1e-4, `${levels} instead of ${level}`);
      });
    }
  });

  it('are refused when they are not finite, naming the first', () => {
    const weights = gaussianWeights(COUNT, 29);
    weights[57] = Number.NaN;
    assert.throws(() => quantizeInt2(weights, LAYOUT), {
      code: 'MODEL_NONFINITE_WEIGHTS',
      message: 'weight 57 of 120 is NaN',
    });
  });
});

describe('packed uniform 2-bit codes', () => {
  it('lie low bits first, counted from the lowest level', () => {
    assert.deepEqual(packInt2(Int8Array.of(-3, -1, 1, 3, 3)), Uint8Array.of(0b11_10_01_00, 0b11));
  });

  it('unpack to what was packed, at every length', () => {
    for (let count = 0; count < 20; count++) {
      const codes = Int8Array.from({ length: count }, (_, i) => 2 * ((i * 5 + 3) % 4) - 3);
      assert.deepEqual(unpackInt2(packInt2(codes), count), codes);
    }
  });

  it('are refused when they are no such codes or their number does not fit', () => {
    for (const code of [-5, -2, 0, 2, 4]) {
      assert.throws(() => packInt2(Int8Array.of(1, code)), { message: `code 1 is ${code}, not −3, −1, 1 or 3` });
    }
    assert.throws(() => unpackInt2(new Uint8Array(2), 9), RangeError);
  });
});
