/** Uniform 2-bit weights: one scale per output channel, four levels, none of them zero. */
export { packInt2 } from './pack.js';
export {
  dequantizeInt2,
  INT2_UNITS,
  type Int2Weights,
  int2Units,
  LARGEST_INT2,
  quantizeInt2,
} from './quantize-int2.js';
