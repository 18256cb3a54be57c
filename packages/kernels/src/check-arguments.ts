import type { ScaledTernaryGemm, TernaryGemm } from './ternary-gemm.js';

/** The checks of arguments.h and addon.cc, with the same messages in the same order. */

const MAX_DIMENSION = 2 ** 31 - 1;
const MAX_OUTPUT_VALUES = 2 ** 28;

/** @throws TypeError | RangeError as {@link Kernels} says */
export function checkTernaryGemm(gemm: TernaryGemm): void {
  checkInteger(gemm.rows, 'rows', 0, MAX_DIMENSION);
  checkInteger(gemm.outputChannels, 'outputChannels', 0, MAX_DIMENSION);
  checkInteger(gemm.inputChannels, 'inputChannels', 0, MAX_DIMENSION);
  checkInteger(gemm.groupSize, 'groupSize', 1, MAX_DIMENSION);
  if (gemm.rows * gemm.outputChannels > MAX_OUTPUT_VALUES) {
    throw new RangeError(`rows × outputChannels must be at most ${MAX_OUTPUT_VALUES}`);
  }
  checkInteger(gemm.zeroPoint, 'zeroPoint', 0, 255);
  const { rows, outputChannels, inputChannels } = gemm;
  checkElements(gemm.activations, 'activations', Uint8Array, rows * inputChannels);
  checkElements(gemm.packedCodes, 'packedCodes', Uint8Array, Math.ceil((outputChannels * inputChannels) / 4));
  checkElements(gemm.groupCodes, 'groupCodes', Uint8Array, outputChannels * Math.ceil(inputChannels / gemm.groupSize));
}

/** @throws TypeError | RangeError as {@link Kernels} says */
export function checkScaledTernaryGemm(gemm: ScaledTernaryGemm): void {
  checkTernaryGemm(gemm);
  if (typeof gemm.inputScale !== 'number') throw new TypeError('inputScale must be a number');
  if (!isPositiveFinite(Math.fround(gemm.inputScale))) {
    throw new RangeError(`inputScale must be a positive float32, got ${gemm.inputScale}`);
  }
  checkElements(gemm.channelScales, 'channelScales', Float32Array, gemm.outputChannels);
  const wrong = gemm.channelScales.findIndex((scale) => !isPositiveFinite(scale));
  if (wrong >= 0) throw new RangeError(`channelScales[${wrong}] must be positive and finite`);
}

function checkInteger(value: number, name: string, minimum: number, maximum: number): void {
  if (typeof value !== 'number') throw new TypeError(`${name} must be a number`);
  if (!(Number.isInteger(value) && value >= minimum && value <= maximum)) {
    throw new RangeError(`${name} must be an integer from ${minimum} to ${maximum}, got ${value}`);
  }
}

function checkElements(
  array: Uint8Array | Float32Array,
  name: string,
  type: typeof Uint8Array | typeof Float32Array,
  length: number,
): void {
  if (!(array instanceof type)) throw new TypeError(`${name} must be a ${type.name}`);
  if (array.length !== length) throw new RangeError(`${name} must have ${length} elements, got ${array.length}`);
}

function isPositiveFinite(value: number): boolean {
  return value > 0 && Number.isFinite(value);
}
