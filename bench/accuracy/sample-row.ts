import type { AccuracyRow, SetAccuracy } from './rows.js';
import { DEFAULT_COLUMN } from './variants.js';

/** Accuracy on one set, for tests. */
export function sampleAccuracy(changes: Partial<SetAccuracy>): SetAccuracy {
  return {
    dataset: 'first.npz',
    metric: 'top1',
    samples: 1000,
    original: 91.5,
    quantized: 90.25,
    drop: 1.25,
    pairedStandardError: 0.5,
    agreement: 95,
    ...changes,
  };
}

/** A finished row, for tests. */
export function sampleRow(changes: Partial<AccuracyRow>): AccuracyRow {
  return {
    model: 'network',
    recipe: { weights: { groupSize: 64 } },
    code: 'code',
    data: 'data',
    column: DEFAULT_COLUMN,
    groupSize: 64,
    commit: 'abc1234',
    cpu: 'a processor',
    accuracies: [sampleAccuracy({})],
    bitsPerWeight: { quantizedLayers: 2.5, lowBitLayers: 2.25, wholeModel: 4 },
    sizeBytes: 1000,
    layers: { ternary: 3, secondPlanes: 0, int4: 0, int8: 2, fourBitInputs: 0 },
    quantizeSeconds: 1,
    jobSeconds: 2,
    peakRssBytes: 1e8,
    ...changes,
  };
}
