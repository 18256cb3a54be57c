/**
 * Packed codes as a graph of standard operators, which onnxruntime folds when it loads the model.
 *
 *   q  uint8 [⌈n/p⌉]     p codes per byte: four ternary (fgq/pack.ts), four of 2 bits (int2/pack.ts), two of 4 bits (int4/pack.ts)
 *
 *   q → Cast int32 → Gather(table [256, p] int8)          where p ∤ n: → Reshape [−1] → Slice [0, n)
 */
import { type WeightLayout, weightCount } from '../fgq/index.js';
import { INT2_UNITS } from '../int2/index.js';
import { intValue, type Tensor, tensorFromInt8, tensorFromInt64 } from '../ir/index.js';
import type { GraphBuilder } from '../passes/graph-builder.js';

/** What packed codes mean. */
export type PackedKind = 'ternary' | 'int4' | 'int2';

const CODES_PER_BYTE: Readonly<Record<PackedKind, 2 | 4>> = { ternary: 4, int4: 2, int2: 4 };
const TO_INT32 = intValue(6);

/** Packed codes of all weights of a tensor. */
export interface PackedCodes {
  readonly kind: PackedKind;
  readonly layout: WeightLayout;
  readonly packed: Tensor;
}

/** Adds the unpacking and returns the name of the int8 codes, in the order [OC, IC, taps] and no shape of use. */
export function unpackCodes(builder: GraphBuilder, name: string, { kind, layout, packed }: PackedCodes): string {
  const perByte = CODES_PER_BYTE[kind];
  const bytes = builder.constant(`${name}_${kind}`, packed);
  const indices = builder.add('Cast', [bytes], `${name}_bytes`, { to: TO_INT32 });
  const table = builder.shared(`${kind}_codes_of_byte`, tensorFromInt8([256, perByte], codesOfBytes(kind)));
  const codes = builder.add('Gather', [table, indices], `${name}_codes`, { axis: intValue(0) });
  const count = weightCount(layout);
  return count % perByte === 0 ? codes : dropPadding(builder, name, codes, count);
}

/** A shape as an operand of Reshape. */
export function shapeOf(builder: GraphBuilder, shape: readonly number[]): string {
  return builder.shared('shape', tensorFromInt64([shape.length], shape));
}

/** The codes of every byte, [256, codes per byte], lowest bits first: two's complement, or 21 (2k − 3) of uniform 2-bit codes k. */
export function codesOfBytes(kind: PackedKind): Int8Array {
  const perByte = CODES_PER_BYTE[kind];
  const bits = 8 / perByte;
  const unused = 32 - bits;
  return Int8Array.from({ length: 256 * perByte }, (_, i) => {
    const shifted = Math.floor(i / perByte) >> ((i % perByte) * bits);
    return kind === 'int2' ? INT2_UNITS * (2 * (shifted & 0b11) - 3) : (shifted << unused) >> unused;
  });
}

function dropPadding(builder: GraphBuilder, name: string, codes: string, count: number): string {
  const flat = builder.add('Reshape', [codes, shapeOf(builder, [-1])], `${name}_flat`);
  const [start, end] = [0, count].map((at) => builder.shared('position', tensorFromInt64([1], [at])));
  return builder.add('Slice', [flat, start!, end!], `${name}_trimmed`);
}
