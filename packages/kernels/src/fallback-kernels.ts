import { setImmediate } from 'node:timers/promises';
import { checkScaledTernaryGemm, checkTernaryGemm } from './check-arguments.js';
import type { Kernels, TernaryGemm } from './ternary-gemm.js';

const INVALID_CODE = -2;
const MAX_INT32 = 2 ** 31 - 1;

/** Products between two pauses, some milliseconds' worth, so that the event loop keeps turning. */
const PRODUCTS_PER_TURN = 2 ** 22;

/** The kernels in TypeScript: the same results and errors as the native ones, on the calling thread. */
export const fallbackKernels: Kernels = {
  ternaryGemmInt32(gemm) {
    checkTernaryGemm(gemm);
    return multiply(copyOf(gemm));
  },
  ternaryGemmFloat32(gemm) {
    checkScaledTernaryGemm(gemm);
    const { inputScale } = gemm;
    const channelScales = gemm.channelScales.slice();
    return multiply(copyOf(gemm)).then((accumulators) => dequantize(accumulators, inputScale, channelScales));
  },
};

/** The caller may change its arrays once the call has returned. */
function copyOf(gemm: TernaryGemm): TernaryGemm {
  const { rows, outputChannels, inputChannels, groupSize, zeroPoint } = gemm;
  return {
    rows,
    outputChannels,
    inputChannels,
    groupSize,
    zeroPoint,
    activations: gemm.activations.slice(),
    packedCodes: gemm.packedCodes.slice(),
    groupCodes: gemm.groupCodes.slice(),
  };
}

async function multiply(gemm: TernaryGemm): Promise<Int32Array> {
  const { rows, outputChannels, inputChannels } = gemm;
  const result = new Int32Array(rows * outputChannels);
  const weightRow = new Int16Array(outputChannels === 0 ? 0 : inputChannels);
  let products = 0;
  for (let n = 0; n < outputChannels; n++) {
    unpackRow(gemm, n, weightRow);
    for (let m = 0; m < rows; m++) {
      result[m * outputChannels + n] = dot(gemm.activations, m * inputChannels, gemm.zeroPoint, weightRow);
      products += inputChannels;
      if (products >= PRODUCTS_PER_TURN) {
        products = 0;
        await setImmediate();
      }
    }
  }
  return result;
}

/** Writes t·c of one output channel. */
function unpackRow(
  { inputChannels, groupSize, packedCodes, groupCodes }: TernaryGemm,
  n: number,
  row: Int16Array,
): void {
  const firstGroup = n * Math.ceil(inputChannels / groupSize);
  let magnitudeSum = 0;
  for (let k = 0; k < inputChannels; k++) {
    const code = unpackCode(packedCodes, n * inputChannels + k);
    if (code === INVALID_CODE) throw new RangeError(`packedCodes has the code 0b10 in the row of output channel ${n}`);
    const groupCode = groupCodes[firstGroup + Math.floor(k / groupSize)]!;
    row[k] = code * groupCode;
    if (code !== 0) magnitudeSum += groupCode;
  }
  if (magnitudeSum * 255 > MAX_INT32) {
    throw new RangeError(`the int32 accumulator of output channel ${n} could overflow`);
  }
}

/** Sign-extends the two bits at `index`, which may exceed 2³¹. */
function unpackCode(packedCodes: Uint8Array, index: number): number {
  const bits = (packedCodes[Math.floor(index / 4)]! >> ((index % 4) * 2)) & 0b11;
  return (bits ^ 0b10) - 0b10;
}

function dot(activations: Uint8Array, first: number, zeroPoint: number, weightRow: Int16Array): number {
  let sum = 0;
  for (let k = 0; k < weightRow.length; k++) sum += (activations[first + k]! - zeroPoint) * weightRow[k]!;
  return sum;
}

function dequantize(accumulators: Int32Array, inputScale: number, channelScales: Float32Array): Float32Array {
  const scale32 = Math.fround(inputScale);
  const channels = channelScales.length;
  const result = new Float32Array(accumulators.length);
  for (let i = 0; i < result.length; i++) result[i] = accumulators[i]! * (scale32 * channelScales[i % channels]!);
  return result;
}
