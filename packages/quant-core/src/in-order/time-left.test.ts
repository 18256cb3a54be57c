import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LayerPrecision } from '@tritforge/contracts';
import type { Layer, PlannedLayer } from '../layers/layer.js';
import { fittingCost, TimeLeft } from './time-left.js';

test('time left follows from the running and the fitting that were measured', () => {
  const left = new TimeLeft([10, 30, 60]);
  assert.equal(left.seconds, null);
  left.layerDone(2, 1);
  assert.equal(left.seconds, 2 * 2 + 9);
  left.layerDone(4, 7);
  assert.equal(left.seconds, 3 + (60 * 8) / 40);
  left.layerDone(1, 1);
  assert.equal(left.seconds, 0);
});

test('large layers cost more than in proportion to their weights, int8 weights and tables less', () => {
  const planned = (inputChannels: number, bits: 2 | 8, isTable = false): PlannedLayer => {
    const applied: LayerPrecision = { bits, groupSize: 64, planes: 1, activationBits: 8 };
    const layer = { layout: { outputChannels: 512, inputChannels, taps: 9 }, isTable } as Layer;
    return { layer, requested: applied, applied, reason: null };
  };
  assert.ok(fittingCost(planned(512, 2)) > 2.2 * fittingCost(planned(256, 2)));
  assert.ok(fittingCost(planned(64, 8)) < fittingCost(planned(64, 2)));
  assert.equal(fittingCost(planned(64, 2, true)), 0);
});
