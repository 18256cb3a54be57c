export { pack4, unpack4 } from './pack.js';
export { type Int4Weights, LARGEST_INT4_GROUP_CODE, quantizeInt4 } from './quantize-int4.js';
