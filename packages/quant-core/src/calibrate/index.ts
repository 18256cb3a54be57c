/** Activation statistics and ranges, from one pass over calibration data under a memory cap. */
export { calibrate } from './calibrate.js';
export { sampleIndices, sampleRuns } from './sample-runs.js';
export type { MaxCode } from './value-range.js';
