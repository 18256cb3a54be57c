/** Uniform 2-bit weights: one scale per output channel, four levels, none of them zero. */
export { packInt2 } from './pack.js';
export { dequantizeInt2, type Int2Weights, LARGEST_INT2, quantizeInt2 } from './quantize-int2.js';
