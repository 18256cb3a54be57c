/**
 * Which weights ONNX Runtime has block operators for. A weight that several layers share is stored once: in blocks where all of
 * them can read those, else as in the portable artifact.
 *
 *   MatMul, Gemm   with ternary weights, N = 32, 64 or 128     → MatMulNBits, 2 bits
 *                  with two ternary planes of that kind        → MatMulNBits, 2 bits twice, and Add
 *                  with 4-bit weights, N = 16 to 128           → MatMulNBits, 4 bits
 *   table          with 4-bit weights, N = 16 to 128 in whole groups → GatherBlockQuantized, 4 bits
 *
 * Of 2 bits, kernels of MatMulNBits that compute in integers take these block sizes alone; other sizes would be unpacked to floats
 * in every run.
 */
import { floatAttribute, intAttribute, type Tensor } from '../../ir/index.js';
import type { GroupCodes } from '../../layers/encoded-weight.js';
import type { Layer } from '../../layers/layer.js';
import type { QuantizedModel } from '../quantized-model.js';

const BLOCK_SIZES = { ternary: [32, 64, 128], int4: [16, 32, 64, 128] } as const;

/** Codes of the weights that are stored in blocks, by original tensor. */
export function blockWeights({
  layers,
  weights,
}: Pick<QuantizedModel, 'layers' | 'weights'>): ReadonlyMap<Tensor, GroupCodes> {
  const found = new Map<Tensor, GroupCodes>();
  const refused = new Set<Tensor>();
  for (const { layer, applied } of layers) {
    if (applied.bits === null) continue;
    const { codes } = weights.get(layer.weight)!;
    if (codes.kind !== 'int8' && codes.kind !== 'int2' && readsBlocks(layer, codes)) found.set(layer.weight, codes);
    else refused.add(layer.weight);
  }
  for (const weight of refused) found.delete(weight);
  return found;
}

function readsBlocks(layer: Layer, codes: GroupCodes): boolean {
  const sizes: readonly number[] = BLOCK_SIZES[codes.kind];
  if (!layer.inMainGraph || !sizes.includes(codes.groupSize)) return false;
  return layer.isTable
    ? codes.kind === 'int4' && layer.layout.inputChannels % codes.groupSize === 0
    : isRowProduct(layer);
}

/** Whether the layer multiplies rows of its input by the weight, and adds a vector at most. */
function isRowProduct({ node, weightPosition, bias }: Layer): boolean {
  if (node.opType === 'MatMul') return weightPosition === 1;
  if (node.opType !== 'Gemm' || intAttribute(node, 'transA', 0) !== 0) return false;
  const isScaled = floatAttribute(node, 'alpha', 1) !== 1 || floatAttribute(node, 'beta', 1) !== 1;
  return !isScaled && (bias !== null || (node.inputs[2] ?? '') === '');
}
