/** Running a model piece by piece over all samples, while its later weights are still being chosen. START HERE: prefix-runner.ts. */
export { PrefixRunner } from './prefix-runner.js';
export type { SampleValues } from './sample-values.js';
