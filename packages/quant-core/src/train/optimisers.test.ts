import assert from 'node:assert/strict';
import { test } from 'node:test';
import { averageInto, clipNorm, Optimiser, type OptimiserSettings, pullBack } from './optimisers.js';

const SGD: OptimiserSettings = { kind: 'sgd', momentum: 0.9, nesterov: false };
const ADAMW: OptimiserSettings = { kind: 'adamw', betas: [0.9, 0.999], epsilon: 1e-8 };
const whole = (length: number, decay = 0, rate = 1) => [{ begin: 0, end: length, rate, decay }];

function near(actual: ArrayLike<number>, expected: readonly number[]): void {
  for (const [i, value] of expected.entries())
    assert.ok(Math.abs(actual[i]! - value) < 1e-6, `${actual[i]}, not ${value}`);
}

test('SGD gathers momentum and decays weights', () => {
  const parameters = Float32Array.of(1, -2);
  const optimiser = new Optimiser(SGD, whole(2, 0.1), 2);
  optimiser.step(parameters, Float32Array.of(0.5, 1), 0.1);
  near(parameters, [1 - 0.1 * 0.6, -2 - 0.1 * 0.8]);
  optimiser.step(parameters, Float32Array.of(0, 0), 0.1);
  const [v0, v1] = [0.9 * 0.6 + 0.1 * 0.94, 0.9 * 0.8 - 0.1 * 2.08];
  near(parameters, [0.94 - 0.1 * v0, -2.08 - 0.1 * v1]);
});

test("Nesterov's step looks ahead", () => {
  const parameters = Float32Array.of(0);
  new Optimiser({ ...SGD, nesterov: true }, whole(1), 1).step(parameters, Float32Array.of(1), 0.1);
  near(parameters, [-0.1 * 1.9]);
});

test('the first step of AdamW has the size of the learning rate, whatever the gradient; decay is apart from it', () => {
  const parameters = Float32Array.of(1, 1, 1);
  new Optimiser(ADAMW, whole(3, 0.5), 3).step(parameters, Float32Array.of(0.01, -30, 0), 0.01);
  near(parameters, [1 - 0.01 - 0.005, 1 + 0.01 - 0.005, 1 - 0.005]);
});

test('AdamW finds the minimum of a badly scaled bowl', () => {
  const parameters = Float32Array.of(3, -2);
  const optimiser = new Optimiser(ADAMW, whole(2), 2);
  for (let t = 0; t < 2000; t++) {
    const gradient = Float32Array.of(100 * (parameters[0]! - 1), 0.01 * (parameters[1]! + 1));
    optimiser.step(parameters, gradient, 0.02 * (1 - t / 2000));
  }
  assert.ok(Math.abs(parameters[0]! - 1) < 1e-3 && Math.abs(parameters[1]! + 1) < 1e-3, parameters.join());
});

test('groups have rates and decays of their own, and what is in none stays', () => {
  const parameters = Float32Array.of(1, 1, 1);
  const groups = [
    { begin: 0, end: 1, rate: 1, decay: 0 },
    { begin: 2, end: 3, rate: 10, decay: 0 },
  ];
  new Optimiser(SGD, groups, 3).step(parameters, Float32Array.of(1, 1, 1), 0.01);
  near(parameters, [0.99, 1, 0.9]);
});

for (const settings of [SGD, ADAMW]) {
  test(`${settings.kind} goes on from a saved state with the same bits`, () => {
    const run = (steps: number, optimiser: Optimiser, parameters: Float32Array, from = 0) => {
      for (let t = from; t < from + steps; t++)
        optimiser.step(
          parameters,
          parameters.map((x, i) => Math.sin(x * (i + 1) + t)),
          0.1,
        );
    };
    const straight = Float32Array.of(0.3, -0.7, 2);
    run(10, new Optimiser(settings, whole(3), 3), straight);
    const resumed = Float32Array.of(0.3, -0.7, 2);
    const first = new Optimiser(settings, whole(3), 3);
    run(4, first, resumed);
    run(6, new Optimiser(settings, whole(3), 3, structuredClone(first.state)), resumed, 4);
    assert.deepEqual(resumed, straight);
  });
}

test('a gradient is clipped to a norm and keeps its direction', () => {
  const gradient = Float32Array.of(3, 4);
  assert.equal(clipNorm(gradient, 10), 5);
  near(gradient, [3, 4]);
  clipNorm(gradient, 1);
  near(gradient, [0.6, 0.8]);
});

test('an average follows the parameters', () => {
  const average = Float32Array.of(0);
  for (let i = 0; i < 200; i++) averageInto(average, Float32Array.of(2), 0.95);
  near(average, [2 * (1 - 0.95 ** 200)]);
});

test('parameters are pulled a share of the way back to where they started', () => {
  const parameters = Float32Array.of(1, -2);
  pullBack(parameters, Float32Array.of(3, -2), 0.25);
  near(parameters, [1.5, -2]);
});
