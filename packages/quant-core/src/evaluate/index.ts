/** Measurements of models: accuracy, noise of inner values, latency, gates. */
export { compareAccuracy } from './compare-accuracy.js';
export { type Evaluation, evaluateModel } from './evaluate-model.js';
export { checkGates } from './gates.js';
export { type Contestant, compareLatency, cpuName } from './latency.js';
export { EXACT_SQNR_DB, measureSqnr } from './sqnr.js';
export { syntheticFeeds } from './synthetic-feeds.js';
