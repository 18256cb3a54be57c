/** Second moments of the inputs of layers, from calibration data. START HERE: collect-moments.ts. */
export { collectMoments, type MomentsOptions, momentsByteLength } from './collect-moments.js';
export type { RecordedOutputs } from './recorded-outputs.js';
