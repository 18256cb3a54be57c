/**
 * Weights in groups as the operator MatMulNBits stores them (com.microsoft, ONNX Runtime's operator contract).
 *
 *   B       uint8 [N, ⌈K/block⌉, block·bits/8]    code + 2^(bits−1), lowest bits first, along K; the last block is padded with
 *                                                 code 0
 *   scales  float [N, ⌈K/block⌉]                  c·s
 *
 * A block is a group: both are `groupSize` neighbouring inputs of one output. Without an input `zero_points` the operator
 * subtracts 2^(bits−1), so that ternary codes are 1, 2 and 3, and 4-bit ones 1 to 15.
 */
import { type CodePlane, unpack2 } from '../../fgq/index.js';
import { unpack4 } from '../../int4/index.js';
import { readTensor, type Tensor, tensorFromFloats, tensorFromUint8 } from '../../ir/index.js';
import type { GroupCodes, PlaneCodes } from '../../layers/encoded-weight.js';

/** Operands of one MatMulNBits. */
export interface BlockOperands {
  readonly packed: Tensor;
  readonly scales: Tensor;
}

/** Bits that a code takes. */
export const BITS_OF_KIND = { ternary: 2, int4: 4 } as const;

const SCALE_BYTES = 4;

/** Bytes of all planes of a linear layer's weight. */
export function blocksByteLength({ kind, layout, groupSize, residual }: GroupCodes): number {
  const blocks = layout.outputChannels * Math.ceil(layout.inputChannels / groupSize);
  return (residual === null ? 1 : 2) * blocks * ((groupSize * BITS_OF_KIND[kind]) / 8 + SCALE_BYTES);
}

/** Packs one plane of a linear layer's weight; its layout has one tap. */
export async function packBlocks(
  { kind, layout, groupSize }: GroupCodes,
  plane: PlaneCodes,
  channelScales: Float32Array,
): Promise<BlockOperands> {
  const { outputChannels, inputChannels } = layout;
  const stored = await readTensor(plane.packed);
  const count = outputChannels * inputChannels;
  const codes = kind === 'int4' ? unpack4(stored, count) : unpack2(stored, count);
  const groupCodes = await readTensor(plane.groupCodes);
  const blocks = Math.ceil(inputChannels / groupSize);
  const bits = BITS_OF_KIND[kind];
  const scales = Float32Array.from({ length: outputChannels * blocks }, (_, i) => {
    return groupCodes[i]! * channelScales[Math.floor(i / blocks)]!;
  });
  const bytes = packRows(codes, inputChannels, { bits, paddedLength: blocks * groupSize });
  return {
    packed: tensorFromUint8([outputChannels, blocks, (groupSize * bits) / 8], bytes),
    scales: tensorFromFloats([outputChannels, blocks], scales),
  };
}

function packRows(
  codes: CodePlane['codes'],
  length: number,
  { bits, paddedLength }: { readonly bits: number; readonly paddedLength: number },
): Uint8Array {
  const rows = codes.length / length;
  const offset = 2 ** (bits - 1);
  const perByte = 8 / bits;
  const bytes = new Uint8Array((rows * paddedLength) / perByte);
  for (let row = 0; row < rows; row++) {
    for (let k = 0; k < paddedLength; k++) {
      const code = offset + (k < length ? codes[row * length + k]! : 0);
      const at = row * paddedLength + k;
      bytes[Math.floor(at / perByte)]! |= code << ((at % perByte) * bits);
    }
  }
  return bytes;
}
