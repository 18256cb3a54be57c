import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dequantize, groupCount, ternarize } from '../fgq/index.js';
import { gaussianWeights } from '../fgq/random-weights.js';
import { inOwnOrder } from '../layers/weight-rows.js';
import { LatentParameters } from './latent-parameters.js';
import { type LatentWeight, projectWeight, rowsOf } from './latent-weight.js';
import { multiplyChannels, setScales } from './learned-scales.js';

const LAYOUT = { outputChannels: 2, inputChannels: 6, taps: 1 };
const SIZE = 12;
const GROUPS = groupCount(LAYOUT, 4);

/** A ternary weight in groups of four and two, and its scales. */
function ternary(transposed: boolean) {
  const scales = { of: 'groups', name: 's', shape: [GROUPS], offset: SIZE, length: GROUPS } as const;
  const weight: LatentWeight = {
    layer: { layout: LAYOUT, transposed },
    applied: { bits: 2, groupSize: 4, planes: 1, activationBits: 8 },
    parameter: { name: 'w', shape: transposed ? [6, 2] : [2, 6], offset: 0, length: SIZE },
    scales,
    biases: [],
  };
  const solved = ternarize(gaussianWeights(SIZE, 3), LAYOUT, 4);
  const values = new Float32Array(SIZE + GROUPS);
  values.set(inOwnOrder(dequantize(solved), weight.layer));
  setScales(weight, values, solved.channelScales);
  return { weight, values, solved, parameters: new LatentParameters([weight], [], [scales]) };
}

for (const transposed of [false, true]) {
  const order = transposed ? '[IC, OC]' : '[OC, IC]';
  test(`groups of ${order} weights begin as they are stored`, () => {
    const { weight, values, solved, parameters } = ternary(transposed);
    const latent = parameters.from(values);
    assert.deepEqual([...rowsOf(latent, weight)], [...solved.codes]);
    const again = new Float32Array(values.length);
    parameters.project(latent, again);
    projectWeight(latent, weight, again);
    for (const [i, value] of values.entries()) assert.ok(Math.abs(again[i]! - value) <= 0.02 * Math.abs(value), `${i}`);
  });

  test(`learned scales of groups of ${order} weights get the gradients of TTQ`, () => {
    const { weight, values, solved, parameters } = ternary(transposed);
    const latent = parameters.from(values);
    const byWeight = gaussianWeights(SIZE, 4);
    const gradient = new Float32Array(values.length).fill(99);
    gradient.set(inOwnOrder(byWeight, weight.layer));
    parameters.chain(gradient, latent, values);
    const scales = values.slice(SIZE);
    const rows = rowsOf(gradient, weight);
    const sums = new Float64Array(GROUPS);
    for (let i = 0; i < SIZE; i++) {
      const group = 2 * Math.floor(i / 6) + (i % 6 < 4 ? 0 : 1);
      assert.equal(rows[i], Math.fround(byWeight[i]! * scales[group]!));
      sums[group]! += byWeight[i]! * solved.codes[i]! * scales[group]!;
    }
    for (const [g, sum] of sums.entries()) assert.ok(Math.abs(gradient[SIZE + g]! - sum) < 1e-6);
  });

  test(`channels of ${order} weights are multiplied by their scales, and turned around by their codes`, () => {
    const { weight, values, parameters } = ternary(transposed);
    const latent = parameters.from(values);
    const before = new Float32Array(values.length);
    parameters.project(latent, before);
    projectWeight(latent, weight, before);
    multiplyChannels(latent, weight, Float64Array.of(2, -0.5));
    const after = new Float32Array(values.length);
    parameters.project(latent, after);
    projectWeight(latent, weight, after);
    const expected = rowsOf(before, weight).map((value, i) => value * (i < 6 ? 2 : -0.5));
    for (const [i, value] of rowsOf(after, weight).entries())
      assert.ok(Math.abs(value - expected[i]!) < 1e-5 * Math.abs(value) + 1e-9);
  });
}

test('a scale that moves changes no codes', () => {
  const { weight, values, solved, parameters } = ternary(false);
  const latent = parameters.from(values);
  for (let i = SIZE; i < latent.length; i++) latent[i]! += 0.7;
  parameters.project(latent, values);
  projectWeight(latent, weight, values);
  assert.deepEqual([...rowsOf(values, weight)].map(Math.sign), [...solved.codes]);
});
