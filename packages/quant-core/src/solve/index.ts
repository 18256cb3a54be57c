/** Quantizing the weights of one layer with what calibration tells about its inputs. START HERE: solve-layer.ts. */
export { type ChannelCorrection, correctChannels } from './correct-channels.js';
export type { InputMoments } from './input-moments.js';
export { type SolveInt8Options, type SolveOptions, type Solver, solveInt8, solveLayer } from './solve-layer.js';
