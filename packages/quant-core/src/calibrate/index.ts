/** Activation statistics and ranges, from one pass over calibration data under a memory cap. */
export { type Calibration, type CalibrationRequest, calibrate, DEFAULT_MEMORY_CAP_BYTES } from './calibrate.js';
export { type ObservedShape, observeShapes } from './observe-shapes.js';
export { firstRun, type SampleRun, sampleIndices, sampleRuns } from './sample-runs.js';
export { affineFor, type RangeMethod, type ValueRange } from './value-range.js';
