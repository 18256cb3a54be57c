/** Training graphs and what drives them, as `@tritforge/quant-core/train`. */
export { upgradeOpset } from '../passes/upgrade-opset/upgrade-opset.js';
export { crossEntropy } from './losses.js';
export { Optimiser } from './optimisers.js';
export type { TrainedEpoch } from './supervised-loop.js';
export { type TrainFileRequest, trainFile } from './train-file.js';
export { buildTrainingGraph, type Parameter, type TrainingGraph } from './training-graph.js';
