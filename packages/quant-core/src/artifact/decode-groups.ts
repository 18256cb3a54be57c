/**
 * Packed weights in groups as a graph of standard operators, which onnxruntime folds to int8 weights when it loads the model.
 *
 *   q  uint8 [⌈n/p⌉]     p codes per byte: see unpack-codes.ts
 *   c  int8               one code per group
 *
 *   q → codes → Reshape → Mul(c) → Reshape → int8 weight
 *
 *   where N divides IC:   t [OC, G, N, taps] · c [OC, G, 1, taps]
 *   where it does not:    t [OC, IC, taps]   · Gather(c [OC, G, taps], ⌊ic/N⌋)
 *
 * Of two planes, each is decoded up to the product, and Add joins them. `portable` computes in int8, which needs opset 14.
 * `compat` computes in floats, exact for these numbers, for opset 13.
 */
import { groupsAlongInputs } from '../fgq/index.js';
import { intValue, type Tensor, tensorFromInt32 } from '../ir/index.js';
import type { EncodedWeight, GroupCodes, PlaneCodes } from '../layers/encoded-weight.js';
import type { GraphBuilder } from '../passes/graph-builder.js';
import { shapeOf, unpackCodes } from './unpack-codes.js';

const TO = { float: intValue(1), int8: intValue(3) } as const;

/** The type in which codes are multiplied and planes added. */
export type DecodingType = 'int8' | 'float';

/** Adds the decoding of a weight and returns the name of the int8 tensor, output channels first whichever way its operator has them. */
export function decodeGroupRows(
  builder: GraphBuilder,
  name: string,
  weight: EncodedWeight,
  grouped: GroupCodes,
  type: DecodingType,
): string {
  const sum = sumOfPlanes(builder, name, grouped, type);
  const int8 = type === 'int8' ? sum : builder.add('Cast', [sum], `${name}_scaled`, { to: TO.int8 });
  const { outputChannels, inputChannels } = grouped.layout;
  const shape = weight.transposed ? [outputChannels, inputChannels] : weight.shape;
  return builder.add('Reshape', [int8, shapeOf(builder, shape)], `${name}_int8`);
}

/** t·c + t₂·c₂, or the product of a single plane. */
function sumOfPlanes(builder: GraphBuilder, name: string, grouped: GroupCodes, type: DecodingType): string {
  const first = decodePlane(builder, name, grouped, grouped, type);
  if (grouped.residual === null) return first;
  const second = decodePlane(builder, `${name}_residual`, grouped, grouped.residual, type);
  return builder.add('Add', [first, second], `${name}_sum`);
}

function decodePlane(
  builder: GraphBuilder,
  name: string,
  grouped: GroupCodes,
  plane: PlaneCodes,
  type: DecodingType,
): string {
  const shape = factorShapes(grouped);
  const unpacked = unpackCodes(builder, name, { ...grouped, packed: plane.packed });
  const codes = builder.add('Reshape', [unpacked, shapeOf(builder, shape.codes)], `${name}_grouped`);
  const scales = groupScales(builder, name, grouped, plane.groupCodes, shape.scales);
  if (type === 'int8') return builder.add('Mul', [codes, scales], `${name}_scaled`);
  const left = builder.add('Cast', [codes], `${name}_codes_float`, { to: TO.float });
  const right = builder.add('Cast', [scales], `${name}_scales_float`, { to: TO.float });
  return builder.add('Mul', [left, right], `${name}_scaled_float`);
}

interface FactorShapes {
  readonly codes: readonly number[];
  readonly scales: readonly number[];
}

/** Shapes in which codes and group scales multiply by broadcasting; equal ranks. */
function factorShapes({ layout, groupSize }: GroupCodes): FactorShapes {
  const { outputChannels, inputChannels, taps } = layout;
  const groups = groupsAlongInputs(layout, groupSize);
  const perGroup = inputChannels / groups;
  if (Number.isInteger(perGroup) && (groups === 1 || perGroup === groupSize)) {
    return { codes: [outputChannels, groups, perGroup, taps], scales: [outputChannels, groups, 1, taps] };
  }
  return { codes: [outputChannels, inputChannels, taps], scales: [outputChannels, groups, taps] };
}

function groupScales(
  builder: GraphBuilder,
  name: string,
  { layout, groupSize }: GroupCodes,
  groupCodes: Tensor,
  shape: readonly number[],
): string {
  const scales = builder.constant(`${name}_group_scales`, { ...groupCodes, shape });
  if (shape.length === 4) return scales;
  const groupOfInput = Int32Array.from({ length: layout.inputChannels }, (_, ic) => Math.floor(ic / groupSize));
  const index = builder.shared(`group_of_input_n${groupSize}`, tensorFromInt32([layout.inputChannels], groupOfInput));
  return builder.add('Gather', [scales, index], `${name}_input_scales`, { axis: intValue(1) });
}
