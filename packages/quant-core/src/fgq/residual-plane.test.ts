import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { chooseGroupCode, MAX_GROUP_CODE } from './group-codes.js';
import { groupsOfChannel, type WeightLayout } from './grouping.js';
import { gaussianWeights } from './random-weights.js';
import { dequantize, relativeError, toInt8Weights } from './reconstruct.js';
import { ternarizeTwice } from './residual-plane.js';
import { ternarize } from './ternarize.js';

const LAYOUT: WeightLayout = { outputChannels: 3, inputChannels: 10, taps: 4 };
const COUNT = 120;

const errorOf = (weights: Float32Array, ternary: Parameters<typeof dequantize>[0]) =>
  relativeError(weights, dequantize(ternary));

/** S_k of the descending magnitudes. */
function prefixSumsOf(weights: readonly number[]): Float64Array {
  let sum = 0;
  return Float64Array.from(
    weights.map(Math.abs).sort((a, b) => b - a),
    (magnitude) => {
      sum += magnitude;
      return sum;
    },
  );
}

describe('two planes', () => {
  it('lose much less than one', () => {
    for (const [groupSize, share] of [
      [4, 0.15],
      [8, 0.2],
      [64, 0.3],
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

  it('have as their second plane the best one for what the codes of the first one leave', () => {
    const weights = gaussianWeights(COUNT, 5);
    const { codes, groupCodes, residual, channelScales } = ternarizeTwice(weights, LAYOUT, 4);
    const groups = groupsOfChannel(LAYOUT, 4);
    for (let oc = 0; oc < 3; oc++) {
      const scale = channelScales[oc]!;
      groups.firstWeight.forEach((first, j) => {
        const at = Array.from({ length: groups.lengths[j]! }, (_, i) => oc * groups.weightCount + first + i * 4);
        const [c, c2] = [groupCodes, residual.groupCodes].map((plane) => plane[oc * groups.groupCount + j]!);
        const rest = at.map((i) => Math.fround(weights[i]! - codes[i]! * c! * scale));
        assert.equal(c2, chooseGroupCode(prefixSumsOf(rest), 0, rest.length, scale, MAX_GROUP_CODE - c!));
        at.forEach((i, k) => {
          const expected = Math.abs(rest[k]!) > (c2! * scale) / 2 && c2! > 0 ? Math.sign(rest[k]!) : 0;
          assert.equal(residual.codes[i], expected);
        });
      });
    }
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
