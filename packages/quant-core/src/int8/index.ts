/** Int8 weights and int32 biases: the first and last layers, depthwise layers, and the int8 baseline. */
export { quantizeBias, roundedBias, smallestWeightScales } from './quantize-bias.js';
export { dequantizeInt8, type Int8Weights, quantizeInt8 } from './quantize-int8.js';
