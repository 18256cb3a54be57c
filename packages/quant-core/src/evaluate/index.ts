/** Measurements of models: accuracy, noise of inner values, latency, gates. */
export { type AccuracyRequest, compareAccuracy } from './compare-accuracy.js';
export { type Evaluation, type EvaluationRequest, evaluateModel } from './evaluate-model.js';
export { checkGates, type Measurements } from './gates.js';
export {
  type Contestant,
  compareLatency,
  cpuName,
  type Latency,
  type LatencyComparison,
  type LatencyOptions,
} from './latency.js';
export { type LatencyRequest, measureLatency } from './measure-latency.js';
export { EXACT_SQNR_DB, measureSqnr, type SqnrRequest } from './sqnr.js';
export { syntheticFeeds } from './synthetic-feeds.js';
