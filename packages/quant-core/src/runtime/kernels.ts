/** The only importer of the kernels. */
import { kernels } from '@tritforge/kernels';
import type { WeightLayout } from '../fgq/index.js';

export { type KernelInfo, kernelInfo } from '@tritforge/kernels';

/** Ternary weights of a linear layer as an artifact stores them. */
export interface PackedTernaryWeights {
  /** One tap. */
  readonly layout: WeightLayout;
  /** N. */
  readonly groupSize: number;
  /** t, [OC, IC], four to a byte: see fgq/pack.ts. */
  readonly packedCodes: Uint8Array;
  /** c, [OC, ⌈IC/N⌉]. */
  readonly groupCodes: Uint8Array;
}

/** Rows of 8-bit activations. */
export interface QuantizedRows {
  readonly rows: number;
  /** [rows, IC]. */
  readonly codes: Uint8Array;
  readonly zeroPoint: number;
}

/**
 * A linear layer in integers, computed from the packed codes without onnxruntime:
 *
 *   y[m, oc] = Σ_ic (x[m, ic] − zeroPoint) · t[oc, ic] · c[oc, ⌊ic/N⌋]
 *
 * in units of input scale × channel scale, without bias.
 * @returns exact int32 sums, [rows, OC]
 * @throws TypeError | RangeError for arguments that do not fit each other
 * @example await ternaryLinear({ rows: 1, codes, zeroPoint: 128 }, weights)
 */
export async function ternaryLinear(input: QuantizedRows, weights: PackedTernaryWeights): Promise<Int32Array> {
  const { outputChannels, inputChannels, taps } = weights.layout;
  if (taps !== 1) throw new RangeError(`a linear layer has one tap, got ${taps}`);
  return kernels().ternaryGemmInt32({
    rows: input.rows,
    outputChannels,
    inputChannels,
    groupSize: weights.groupSize,
    zeroPoint: input.zeroPoint,
    activations: input.codes,
    packedCodes: weights.packedCodes,
    groupCodes: weights.groupCodes,
  });
}
