/** Quantizing the weights of one layer with what calibration tells about its inputs. START HERE: solve-layer.ts. */
export { channelMetric } from './column-blocks.js';
export { correctChannels } from './correct-channels.js';
export { type InputMoments, momentsAboutZero, momentsOfChannels } from './input-moments.js';
export type { LayerMetric } from './layer-metric.js';
export { solveInt2 } from './solve-int2.js';
export { type SolveInt4Options, solveInt4 } from './solve-int4.js';
export { solveInt8 } from './solve-int8.js';
export { layerMetric, solveLayer } from './solve-layer.js';
