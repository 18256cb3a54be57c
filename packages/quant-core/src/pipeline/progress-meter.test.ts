import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createOnnxRuntime } from '../runtime/onnx-runtime.js';
import { ProgressMeter } from './progress-meter.js';

const COSTS = new Map([
  ['calibrate', 1],
  ['quantize', 3],
  ['verify', 1],
] as const);

/** A meter on a clock that the test moves; the last estimate. */
function meterWith(costs: ConstructorParameters<typeof ProgressMeter>[1]) {
  const clock = { ms: 0 };
  const seen: (number | null)[] = [];
  const context = {
    runtime: createOnnxRuntime(),
    onProgress: ({ etaSeconds }: { etaSeconds: number | null }) => seen.push(etaSeconds),
  };
  const meter = new ProgressMeter(context, costs, () => clock.ms);
  return { meter, clock, eta: () => seen.at(-1) };
}

test('an estimate compares work with the work that was done so far', () => {
  const { meter, clock, eta } = meterWith(COSTS);
  meter.begin('calibrate', 4, 'samples');
  assert.equal(eta(), null);
  clock.ms = 5000;
  meter.done(2);
  assert.equal(eta(), 45);
});

test('where a phase knows how long it will take, later phases are added as slow as the earlier ones were', () => {
  const { meter, clock, eta } = meterWith(COSTS);
  meter.begin('calibrate', 1, 'samples');
  clock.ms = 12_000;
  meter.begin('quantize', 10, 'layers');
  clock.ms = 30_000;
  meter.done(1, 10, 100);
  assert.equal(eta(), 100 + 2);
  meter.done(2, 10, null);
  assert.equal(eta(), Math.round((30 * (5 - 1.6)) / 1.6));
});
