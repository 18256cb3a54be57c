import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LayerPrecision } from '@tritforge/contracts';
import type { Layer, PlannedLayer } from '../layers/layer.js';
import { fittingCost, TimeLeft } from './time-left.js';

const near = (actual: number | null, expected: number) =>
  assert.ok(actual !== null && Math.abs(actual / expected - 1) < 1e-3, `${actual}, not ${expected}`);

test('a first layer that was slow for its size does not frighten anyone', () => {
  const left = new TimeLeft([5e9, 1e12]);
  left.layerDone(0.1, 1);
  assert.ok(left.seconds! > 15 && left.seconds! < 40, `${left.seconds} s`);
});

test('time left follows from the running and the fitting that were measured', () => {
  const left = new TimeLeft([1e15, 3e15, 6e15]);
  assert.equal(left.seconds, null);
  left.layerDone(200, 1e5);
  near(left.seconds, 2 * 200 + 9e5);
  left.layerDone(400, 7e5);
  near(left.seconds, 300 + (6 * 8e5) / 4);
  left.layerDone(100, 1e5);
  assert.equal(left.seconds, 0);
});

test('large layers cost more than in proportion to their weights, int8 weights and tables less', () => {
  const planned = (inputChannels: number, bits: 2 | 8, isTable = false): PlannedLayer => {
    const applied: LayerPrecision = { bits, groupSize: 64, planes: 1, activationBits: 8 };
    const layer = { layout: { outputChannels: 512, inputChannels, taps: 9 }, isTable } as Layer;
    return { layer, requested: applied, applied, reason: null };
  };
  assert.ok(fittingCost(planned(512, 2), 40_000) > 2.2 * fittingCost(planned(256, 2), 40_000));
  assert.ok(fittingCost(planned(64, 8), 8192) < fittingCost(planned(64, 2), 8192));
  assert.equal(fittingCost(planned(64, 2, true), 8192), 0);
});
