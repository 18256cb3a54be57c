/**
 * Packed ternary weights as a graph of standard operators, which onnxruntime folds to int8 weights when it loads the model.
 *
 *   q  uint8 [⌈n/4⌉]     four 2-bit codes per byte (fgq/pack.ts)
 *   c  uint8 or int8      one code per group
 *
 *   q → Cast int32 → Gather(table [256, 4] int8) → Reshape → Mul(c) → Reshape → [Transpose] → int8 weight
 *
 *   where N divides IC:   t [OC, G, N, taps] · c [OC, G, 1, taps]
 *   where it does not:    t [OC, IC, taps]   · Gather(c [OC, G, taps], ⌊ic/N⌋)
 *   where 4 ∤ n:          Reshape [−1] and Slice [0, n) after the table
 *
 * Of two planes, each is decoded up to the product, and Add joins them. `portable` computes in int8, which needs opset 14.
 * `compat` computes in floats, exact for these numbers, for opset 13.
 */
import { groupsAlongInputs, weightCount } from '../fgq/index.js';
import { intsValue, intValue, type Tensor, tensorFromInt8, tensorFromInt32, tensorFromInt64 } from '../ir/index.js';
import type { EncodedWeight, PlaneCodes, TernaryCodes } from '../layers/encoded-weight.js';
import type { GraphBuilder } from './graph-builder.js';

const TO = { float: intValue(1), int8: intValue(3), int32: intValue(6) } as const;

/** The type in which codes are multiplied and planes added. */
export type DecodingType = 'int8' | 'float';

/** Adds the decoding of a weight and returns the name of the int8 tensor, in the shape that its operator takes. */
export function decodeTernary(
  builder: GraphBuilder,
  name: string,
  weight: EncodedWeight,
  ternary: TernaryCodes,
  type: DecodingType,
): string {
  const rows = decodeTernaryRows(builder, name, weight, ternary, type);
  return weight.transposed
    ? builder.add('Transpose', [rows], `${name}_int8_transposed`, { perm: intsValue([1, 0]) })
    : rows;
}

/** The same with output channels first, whichever way the operator has them. */
export function decodeTernaryRows(
  builder: GraphBuilder,
  name: string,
  weight: EncodedWeight,
  ternary: TernaryCodes,
  type: DecodingType,
): string {
  const sum = sumOfPlanes(builder, name, ternary, type);
  const int8 = type === 'int8' ? sum : builder.add('Cast', [sum], `${name}_scaled`, { to: TO.int8 });
  const { outputChannels, inputChannels } = ternary.layout;
  const shape = weight.transposed ? [outputChannels, inputChannels] : weight.shape;
  return builder.add('Reshape', [int8, shapeOf(builder, shape)], `${name}_int8`);
}

/** t·c + t₂·c₂, or t·c of a single plane. */
function sumOfPlanes(builder: GraphBuilder, name: string, ternary: TernaryCodes, type: DecodingType): string {
  const first = decodePlane(builder, name, ternary, ternary, type);
  if (ternary.residual === null) return first;
  const second = decodePlane(builder, `${name}_residual`, ternary, ternary.residual, type);
  return builder.add('Add', [first, second], `${name}_sum`);
}

function decodePlane(
  builder: GraphBuilder,
  name: string,
  ternary: TernaryCodes,
  plane: PlaneCodes,
  type: DecodingType,
): string {
  const shape = factorShapes(ternary);
  const codes = unpackCodes(builder, name, plane.packed, weightCount(ternary.layout), shape.codes);
  const scales = groupScales(builder, name, ternary, plane.groupCodes, shape.scales);
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
function factorShapes({ layout, groupSize }: TernaryCodes): FactorShapes {
  const { outputChannels, inputChannels, taps } = layout;
  const groups = groupsAlongInputs(layout, groupSize);
  const perGroup = inputChannels / groups;
  if (Number.isInteger(perGroup) && (groups === 1 || perGroup === groupSize)) {
    return { codes: [outputChannels, groups, perGroup, taps], scales: [outputChannels, groups, 1, taps] };
  }
  return { codes: [outputChannels, inputChannels, taps], scales: [outputChannels, groups, taps] };
}

function unpackCodes(
  builder: GraphBuilder,
  name: string,
  packed: Tensor,
  count: number,
  shape: readonly number[],
): string {
  const bytes = builder.constant(`${name}_ternary`, packed);
  const indices = builder.add('Cast', [bytes], `${name}_bytes`, { to: TO.int32 });
  const table = builder.shared('ternary_codes_of_byte', tensorFromInt8([256, 4], codesOfBytes()));
  const fours = builder.add('Gather', [table, indices], `${name}_codes`, { axis: intValue(0) });
  const all = count % 4 === 0 ? fours : dropPadding(builder, name, fours, count);
  return builder.add('Reshape', [all, shapeOf(builder, shape)], `${name}_grouped`);
}

function dropPadding(builder: GraphBuilder, name: string, fours: string, count: number): string {
  const flat = builder.add('Reshape', [fours, shapeOf(builder, [-1])], `${name}_flat`);
  const [start, end] = [0, count].map((at) => builder.shared('position', tensorFromInt64([1], [at])));
  return builder.add('Slice', [flat, start!, end!], `${name}_trimmed`);
}

function groupScales(
  builder: GraphBuilder,
  name: string,
  { layout, groupSize }: TernaryCodes,
  groupCodes: Tensor,
  shape: readonly number[],
): string {
  const scales = builder.constant(`${name}_group_scales`, { ...groupCodes, shape });
  if (shape.length === 4) return scales;
  const groupOfInput = Int32Array.from({ length: layout.inputChannels }, (_, ic) => Math.floor(ic / groupSize));
  const index = builder.shared(`group_of_input_n${groupSize}`, tensorFromInt32([layout.inputChannels], groupOfInput));
  return builder.add('Gather', [scales, index], `${name}_input_scales`, { axis: intValue(1) });
}

function shapeOf(builder: GraphBuilder, shape: readonly number[]): string {
  return builder.shared('shape', tensorFromInt64([shape.length], shape));
}

/** The four codes of every byte; 0b10, which does not occur, reads as −2. */
export function codesOfBytes(): Int8Array {
  return Int8Array.from({ length: 1024 }, (_, i) => ((((i >> 2) >> ((i & 3) * 2)) & 3) << 30) >> 30);
}
