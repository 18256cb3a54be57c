/** What tests and benchmarks share, as `@tritforge/quant-core/testing`. */
export { checkReport } from './check-report.js';
export { LIGHT_MODELS, materialize, writeNoise } from './light-models.js';
export { sharedData, skipWithout } from './shared-data.js';
export { unpackModels } from './unpack-models.js';
