/** Fine-grained ternary quantization, usable on its own as `@tritforge/quant-core/fgq`. Start reading at ternarize.ts. */
export { MAX_GROUP_CODE } from './group-codes.js';
export { groupCount, groupsAlongInputs, groupsOfChannel, type WeightLayout, weightCount } from './grouping.js';
export { pack2, packedByteLength, unpack2 } from './pack.js';
export {
  bitsPerWeight,
  type CodePlane,
  dequantize,
  type GroupedWeights,
  relativeError,
  toInt8Weights,
  zeroShare,
} from './reconstruct.js';
export { ternarizeTwice } from './residual-plane.js';
export { type GroupSolution, solveGroup } from './solve-group.js';
export { type TernarizeOptions, type TernaryPlane, type TernaryWeights, ternarize } from './ternarize.js';
export { ternarizeScaled } from './ternarize-scaled.js';
