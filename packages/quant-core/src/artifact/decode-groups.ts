/**
 * Packed weights in groups as a graph of standard operators, which onnxruntime folds to int8 weights when it loads the model.
 *
 *   q  uint8 [⌈n/p⌉]     p codes per byte: four ternary (fgq/pack.ts) or two of 4 bits (int4/pack.ts)
 *   c  int8               one code per group
 *
 *   q → Cast int32 → Gather(table [256, p] int8) → Reshape → Mul(c) → Reshape → [Transpose] → int8 weight
 *
 *   where N divides IC:   t [OC, G, N, taps] · c [OC, G, 1, taps]
 *   where it does not:    t [OC, IC, taps]   · Gather(c [OC, G, taps], ⌊ic/N⌋)
 *   where p ∤ n:          Reshape [−1] and Slice [0, n) after the table
 *
 * Of two planes, each is decoded up to the product, and Add joins them. `portable` computes in int8, which needs opset 14.
 * `compat` computes in floats, exact for these numbers, for opset 13.
 */
import { groupsAlongInputs, weightCount } from '../fgq/index.js';
import { intsValue, intValue, type Tensor, tensorFromInt8, tensorFromInt32, tensorFromInt64 } from '../ir/index.js';
import type { EncodedWeight, GroupCodes, PlaneCodes } from '../layers/encoded-weight.js';
import type { GraphBuilder } from '../passes/graph-builder.js';

const CODES_PER_BYTE = { ternary: 4, int4: 2 } as const;
const TO = { float: intValue(1), int8: intValue(3), int32: intValue(6) } as const;

/** The type in which codes are multiplied and planes added. */
export type DecodingType = 'int8' | 'float';

/** Adds the decoding of a weight and returns the name of the int8 tensor, in the shape that its operator takes. */
export function decodeGroups(
  builder: GraphBuilder,
  name: string,
  weight: EncodedWeight,
  grouped: GroupCodes,
  type: DecodingType,
): string {
  const rows = decodeGroupRows(builder, name, weight, grouped, type);
  return weight.transposed
    ? builder.add('Transpose', [rows], `${name}_int8_transposed`, { perm: intsValue([1, 0]) })
    : rows;
}

/** The same with output channels first, whichever way the operator has them. */
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
  const codes = unpackCodes(builder, name, grouped, plane.packed, shape.codes);
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

function unpackCodes(
  builder: GraphBuilder,
  name: string,
  { kind, layout }: GroupCodes,
  packed: Tensor,
  shape: readonly number[],
): string {
  const perByte = CODES_PER_BYTE[kind];
  const bytes = builder.constant(`${name}_${kind}`, packed);
  const indices = builder.add('Cast', [bytes], `${name}_bytes`, { to: TO.int32 });
  const table = builder.shared(`${kind}_codes_of_byte`, tensorFromInt8([256, perByte], codesOfBytes(kind)));
  const codes = builder.add('Gather', [table, indices], `${name}_codes`, { axis: intValue(0) });
  const count = weightCount(layout);
  const all = count % perByte === 0 ? codes : dropPadding(builder, name, codes, count);
  return builder.add('Reshape', [all, shapeOf(builder, shape)], `${name}_grouped`);
}

function dropPadding(builder: GraphBuilder, name: string, codes: string, count: number): string {
  const flat = builder.add('Reshape', [codes, shapeOf(builder, [-1])], `${name}_flat`);
  const [start, end] = [0, count].map((at) => builder.shared('position', tensorFromInt64([1], [at])));
  return builder.add('Slice', [flat, start!, end!], `${name}_trimmed`);
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

function shapeOf(builder: GraphBuilder, shape: readonly number[]): string {
  return builder.shared('shape', tensorFromInt64([shape.length], shape));
}

/** The codes of every byte, [256, codes per byte], in two's complement, lowest bits first. */
export function codesOfBytes(kind: GroupCodes['kind']): Int8Array {
  const perByte = CODES_PER_BYTE[kind];
  const bits = 8 / perByte;
  const unused = 32 - bits;
  return Int8Array.from({ length: 256 * perByte }, (_, i) => {
    const [byte, place] = [Math.floor(i / perByte), i % perByte];
    return ((byte >> (place * bits)) << unused) >> unused;
  });
}
