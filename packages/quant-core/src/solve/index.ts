/** Quantizing the weights of one layer with what calibration tells about its inputs. START HERE: solve-layer.ts. */
export { correctChannels } from './correct-channels.js';
export { type InputMoments, momentsAboutZero } from './input-moments.js';
export { type SolveInt4Options, solveInt4 } from './solve-int4.js';
export { solveInt8 } from './solve-int8.js';
export { solveLayer } from './solve-layer.js';
