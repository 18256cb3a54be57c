import { intsValue } from '../ir/index.js';
import type { EncodedWeight, GroupCodes, Int2Codes } from '../layers/encoded-weight.js';
import type { GraphBuilder } from '../passes/graph-builder.js';
import { type DecodingType, decodeGroupRows } from './decode-groups.js';
import { shapeOf, unpackCodes } from './unpack-codes.js';

/** Adds the decoding of packed codes and returns the name of the int8 tensor, in the shape that its operator takes. */
export function decodeWeight(
  builder: GraphBuilder,
  name: string,
  weight: EncodedWeight,
  codes: GroupCodes | Int2Codes,
  type: DecodingType,
): string {
  const rows = decodeRows(builder, name, weight, codes, type);
  return weight.transposed
    ? builder.add('Transpose', [rows], `${name}_int8_transposed`, { perm: intsValue([1, 0]) })
    : rows;
}

/** The same with output channels first, whichever way the operator has them. */
export function decodeRows(
  builder: GraphBuilder,
  name: string,
  weight: EncodedWeight,
  codes: GroupCodes | Int2Codes,
  type: DecodingType,
): string {
  if (codes.kind !== 'int2') return decodeGroupRows(builder, name, weight, codes, type);
  const { outputChannels, inputChannels } = codes.layout;
  const shape = weight.transposed ? [outputChannels, inputChannels] : weight.shape;
  return builder.add('Reshape', [unpackCodes(builder, name, codes), shapeOf(builder, shape)], `${name}_int8`);
}
