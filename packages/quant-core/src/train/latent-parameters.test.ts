import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LatentParameters } from './latent-parameters.js';
import { type LatentWeight, projectWeight } from './latent-weight.js';

/** Two channels of three weights, uniform with learned scales, in a vector of six weights and two scales. */
function uniform(transposed: boolean): LatentWeight {
  return {
    layer: { layout: { outputChannels: 2, inputChannels: 3, taps: 1 }, transposed },
    applied: { bits: 2, groupSize: null, planes: null, activationBits: 2 },
    parameter: { name: 'w', shape: transposed ? [3, 2] : [2, 3], offset: 0, length: 6 },
    scales: { of: 'channels', name: 's', shape: [2], offset: 6, length: 2 },
    biases: [],
  };
}

for (const transposed of [false, true]) {
  const stored = (rows: readonly number[]) => (transposed ? [0, 3, 1, 4, 2, 5].map((i) => rows[i]!) : [...rows]);
  test(`learned scales of ${transposed ? '[IC, OC]' : '[OC, IC]'} weights get the gradients of LSQ`, () => {
    const weight = uniform(transposed);
    const { scales } = weight;
    const parameters = new LatentParameters([weight], [], [scales as Exclude<typeof scales, string | null>]);
    assert.equal(parameters.length, 8);
    // s = 0.5 and 2; beyond 3 s are 1.75 and −7.
    const values = Float32Array.of(...stored([0.25, -0.75, 1.75, 1, -7, 3]), 0.5, 2);
    const latent = parameters.from(values);
    parameters.project(latent, values);
    projectWeight(latent, weight, values);
    assert.deepEqual([...values], [...stored([0.5, -0.5, 1.5, 2, -6, 2]), 0.5, 2]);
    const gradient = Float32Array.of(...stored([1, 2, 4, 8, 16, 32]), 99, 99);
    parameters.chain(gradient, latent, values);
    const first = 1 * (1 - 0.5) + 2 * (-1 + 1.5) + 4 * 3;
    const second = 8 * (1 - 0.5) + 16 * -3 + 32 * (1 - 1.5);
    assert.deepEqual([...gradient], [...stored([1, 2, 0, 8, 0, 32]), first * 0.5, second * 2]);
  });
}

test('channels learn as fast as their weights are large, biases in proportion', () => {
  const bias = { name: 'b', shape: [2], offset: 6, length: 2 };
  const weight: LatentWeight = {
    ...uniform(false),
    applied: { bits: 8, groupSize: null, planes: null, activationBits: 8 },
    scales: null,
    biases: [{ parameter: bias, inputScale: 1 }],
  };
  const start = Float32Array.of(1, -1, 1, 7, 7, -7, 3, 1);
  const sizes = (weights: readonly LatentWeight[], kind: 'adamw' | 'sgd') => {
    const settings =
      kind === 'sgd' ? { kind, momentum: 0, nesterov: false } : { kind, betas: [0, 0] as const, epsilon: 0 };
    const groups = new LatentParameters(weights, [bias], []).groups(start, settings);
    return groups.map(({ begin, end, rate }) => [begin, end, Number(rate.toFixed(5))]);
  };
  // Root mean squares: 5 of all weights, √5 of the biases.
  const [first, second] = [1, 7].map((size) => Number(((Math.sqrt(5) * size) / 5).toFixed(5)));
  const ranges = [
    [0, 3, 1],
    [3, 6, 7],
    [6, 7, first],
    [7, 8, second],
  ];
  assert.deepEqual(sizes([weight], 'adamw'), ranges);
  assert.deepEqual(sizes([weight], 'sgd').slice(0, 2), [
    [0, 3, 1],
    [3, 6, 49],
  ]);
  assert.deepEqual(sizes([{ ...weight, biases: [] }], 'adamw').at(-1), [6, 8, Number(Math.sqrt(5).toFixed(5))]);
});
