import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MAX_GROUP_CODE } from './group-codes.js';
import { groupsOfChannel, type WeightLayout } from './grouping.js';
import { gaussianWeights } from './random-weights.js';
import { dequantize, relativeError, toInt8Weights } from './reconstruct.js';
import { ternarizeTwice } from './residual-plane.js';
import { ternarize } from './ternarize.js';

const LAYOUT: WeightLayout = { outputChannels: 3, inputChannels: 10, taps: 4 };
const COUNT = 120;

const errorOf = (weights: Float32Array, ternary: Parameters<typeof dequantize>[0]) =>
  relativeError(weights, dequantize(ternary));

/** ‖|w| − levels‖² of the nearest levels. */
function errorAt(group: readonly number[], [c, c2]: readonly [number, number], scale: number): number {
  const levels = [0, c2, Math.abs(c - c2), c, c + c2].map((level) => level * scale);
  return group.reduce((sum, w) => sum + Math.min(...levels.map((level) => (w - level) ** 2)), 0);
}

/** Calls back with the places of the weights of each group, its codes and its channel's scale. */
function forEachGroup(
  { layout, groupSize, groupCodes, residual, channelScales }: ReturnType<typeof ternarizeTwice>,
  check: (at: readonly number[], codes: readonly [number, number], scale: number) => void,
): void {
  const groups = groupsOfChannel(layout, groupSize);
  for (let oc = 0; oc < layout.outputChannels; oc++) {
    groups.firstWeight.forEach((first, j) => {
      const start = oc * groups.weightCount + first;
      const at = Array.from({ length: groups.lengths[j]! }, (_, i) => start + i * groups.stride);
      const slot = oc * groups.groupCount + j;
      check(at, [groupCodes[slot]!, residual.groupCodes[slot]!], channelScales[oc]!);
    });
  }
}

describe('two planes', () => {
  it('lose much less than one', () => {
    for (const [groupSize, share] of [
      [4, 0.06],
      [8, 0.1],
      [64, 0.16],
    ] as const) {
      const layout = { outputChannels: 16, inputChannels: 130, taps: 3 };
      const weights = gaussianWeights(16 * 130 * 3, groupSize);
      const [one, two] = [ternarize(weights, layout, groupSize), ternarizeTwice(weights, layout, groupSize)];
      assert.ok(errorOf(weights, two) < share * errorOf(weights, one), `N = ${groupSize}`);
    }
  });

  it('add up to int8 weights that no pair of uint8 products can saturate, and use the whole range', () => {
    const layout = { outputChannels: 20, inputChannels: 64, taps: 9 };
    for (const groupSize of [4, 64]) {
      const ternary = ternarizeTwice(gaussianWeights(20 * 64 * 9, 3), layout, groupSize);
      const sums = ternary.groupCodes.map((code, i) => code + ternary.residual.groupCodes[i]!);
      assert.equal(
        sums.reduce((a, b) => Math.max(a, b)),
        MAX_GROUP_CODE,
      );
      assert.ok(toInt8Weights(ternary).every((value) => Math.abs(value) <= MAX_GROUP_CODE));
    }
  });

  it('send every weight to its nearest level, with zeros where a group code is 0', () => {
    const weights = gaussianWeights(COUNT, 5);
    const ternary = ternarizeTwice(weights, LAYOUT, 4);
    const values = toInt8Weights(ternary);
    forEachGroup(ternary, (at, [c, c2], scale) => {
      const levels = [-1, 0, 1].flatMap((t) => [-1, 0, 1].map((t2) => t * c + t2 * c2));
      for (const i of at) {
        const nearest = Math.min(...levels.map((level) => Math.abs(weights[i]! - level * scale)));
        assert.ok(Math.abs(weights[i]! - values[i]! * scale) <= nearest + 1e-6);
        assert.equal(values[i], ternary.codes[i]! * c + ternary.residual.codes[i]! * c2);
        if (c2 === 0) assert.equal(ternary.residual.codes[i], 0);
      }
      assert.ok(c >= c2);
    });
  });

  it('have group codes whose error is hardly above the least of all codes', () => {
    for (const [groupSize, most] of [
      [4, 1.15],
      [16, 1.08],
    ] as const) {
      const layout = { outputChannels: 4, inputChannels: 64, taps: 1 };
      const weights = gaussianWeights(256, 9);
      let [found, least] = [0, 0];
      forEachGroup(ternarizeTwice(weights, layout, groupSize), (at, codes, scale) => {
        const group = at.map((i) => Math.abs(weights[i]!));
        const errors: number[] = [];
        for (let c = 0; c <= MAX_GROUP_CODE; c++)
          for (let c2 = 0; c2 <= Math.min(c, MAX_GROUP_CODE - c); c2++) errors.push(errorAt(group, [c, c2], scale));
        found += errorAt(group, codes, scale);
        least += Math.min(...errors);
      });
      assert.ok(found >= least && found < most * least, `N = ${groupSize}: ${found} against ${least}`);
    }
  });

  it('keep the levels 0, α₂, α − α₂, α and α + α₂ exactly, as far as codes go', () => {
    const weights = Float32Array.from(
      { length: 64 },
      (_, i) => [40, -40, 64, 12, -52, 0, 40, 64][i % 8]! * (i < 32 ? 1 : 0.5),
    );
    const layout = { outputChannels: 2, inputChannels: 32, taps: 1 };
    assert.deepEqual(dequantize(ternarizeTwice(weights, layout, 8)), weights);
    assert.ok(errorOf(weights, ternarize(weights, layout, 8)) > 0.02);
  });

  it('treat a short last group like one padded with zeros', () => {
    const weights = gaussianWeights(COUNT, 7);
    const padded = new Float32Array(3 * 12 * 4);
    for (let oc = 0; oc < 3; oc++) padded.set(weights.subarray(oc * 40, (oc + 1) * 40), oc * 48);
    const short = ternarizeTwice(weights, LAYOUT, 4);
    const full = ternarizeTwice(padded, { ...LAYOUT, inputChannels: 12 }, 4);
    assert.deepEqual(short.channelScales, full.channelScales);
    assert.deepEqual(short.residual.groupCodes, full.residual.groupCodes);
    for (let oc = 0; oc < 3; oc++) {
      const own = short.residual.codes.subarray(oc * 40, (oc + 1) * 40);
      assert.deepEqual(own, full.residual.codes.subarray(oc * 48, oc * 48 + 40));
    }
  });

  it('follow negation and scaling by powers of two, and leave the weights alone', () => {
    const weights = gaussianWeights(COUNT, 13);
    const copy = weights.slice();
    const plain = ternarizeTwice(weights, LAYOUT, 5);
    assert.deepEqual(weights, copy);
    const negated = ternarizeTwice(
      weights.map((w) => -w),
      LAYOUT,
      5,
    );
    const residual = { ...plain.residual, codes: plain.residual.codes.map((t) => -t) };
    assert.deepEqual(negated, { ...plain, codes: plain.codes.map((t) => -t), residual });
    const scaled = ternarizeTwice(
      weights.map((w) => w * 2 ** -40),
      LAYOUT,
      5,
    );
    assert.deepEqual(scaled, { ...plain, channelScales: plain.channelScales.map((s) => s * 2 ** -40) });
  });

  it('of zeros are zeros, and lower bounds of scales hold', () => {
    const weights = gaussianWeights(COUNT, 19).fill(0, 40, 80);
    const minimumScales = Float32Array.of(0, 0, 1e6);
    const { residual, groupCodes, channelScales } = ternarizeTwice(weights, LAYOUT, 4, { minimumScales });
    assert.ok(residual.groupCodes.subarray(12).every((code) => code === 0));
    assert.ok(groupCodes.subarray(12).every((code) => code === 0));
    assert.ok(channelScales[1]! > 0 && channelScales[2] === 1e6);
  });

  it('refuse weights that are not finite, naming the first', () => {
    const weights = gaussianWeights(COUNT, 29);
    weights[57] = Number.NaN;
    assert.throws(() => ternarizeTwice(weights, LAYOUT, 4), {
      code: 'MODEL_NONFINITE_WEIGHTS',
      message: 'weight 57 of 120 is NaN',
    });
  });
});
