/** Quantizing the weights of one layer with what calibration tells about its inputs. START HERE: solve-layer.ts. */
export { type ChannelCorrection, correctChannels } from './correct-channels.js';
export { type InputMoments, momentsAboutZero } from './input-moments.js';
export { type Int4Weights, LARGEST_INT4, type SolveInt4Options, solveInt4 } from './solve-int4.js';
export { type SolveInt8Options, solveInt8 } from './solve-int8.js';
export { type SolveOptions, type Solver, solveLayer } from './solve-layer.js';
