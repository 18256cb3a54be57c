import { TritforgeError } from '@tritforge/contracts';
import { type DataType, float16ToNumber, numberToFloat16 } from '../ir/index.js';
import type { HostTensor } from '../runtime/runtime.js';

const FLOATS: readonly DataType[] = ['float16', 'float32', 'float64'];

/** Smallest and largest value of the integer types. */
const INTEGER_RANGES: Partial<Record<DataType, readonly [number, number]>> = {
  bool: [0, 1],
  int8: [-128, 127],
  uint8: [0, 255],
  int16: [-32768, 32767],
  uint16: [0, 65535],
  int32: [-(2 ** 31), 2 ** 31 - 1],
  uint32: [0, 2 ** 32 - 1],
  int64: [-(2 ** 63), 2 ** 63],
  uint64: [0, 2 ** 64],
};

/** Whether samples of one type may be fed to an input of another: integers to anything numeric, floats to floats only. */
export function isCastable(from: DataType, to: DataType): boolean {
  if (from === to) return from in INTEGER_RANGES || FLOATS.includes(from);
  if (FLOATS.includes(to)) return FLOATS.includes(from) || from in INTEGER_RANGES;
  return to !== 'bool' && to in INTEGER_RANGES && from in INTEGER_RANGES;
}

/** The elements as numbers; 64-bit integers above 2^53 lose their last bits. */
function asNumbers(tensor: HostTensor): ArrayLike<number> {
  const { data, dtype } = tensor;
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) return Float64Array.from(data, Number);
  if (dtype === 'float16') return Float32Array.from(data as Uint16Array, float16ToNumber);
  return data as ArrayLike<number>;
}

function floatData(numbers: ArrayLike<number>, to: DataType): HostTensor['data'] {
  if (to === 'float32') return new Float32Array(numbers);
  if (to === 'float64') return new Float64Array(numbers);
  return Uint16Array.from(numbers, numberToFloat16);
}

function integerData(numbers: ArrayLike<number>, to: DataType): HostTensor['data'] {
  switch (to) {
    case 'int8':
      return new Int8Array(numbers);
    case 'int16':
      return new Int16Array(numbers);
    case 'int32':
      return new Int32Array(numbers);
    case 'uint16':
      return new Uint16Array(numbers);
    case 'uint32':
      return new Uint32Array(numbers);
    case 'int64':
      return BigInt64Array.from(Array.from(numbers, BigInt));
    case 'uint64':
      return BigUint64Array.from(Array.from(numbers, BigInt));
    default:
      return new Uint8Array(numbers);
  }
}

/**
 * Converts samples to the dtype of a model input; the same tensor when nothing changes.
 * @param array name of the array, for the message
 * @throws TritforgeError DATASET_DTYPE_MISMATCH when the types do not convert or an integer does not fit
 */
export function castTensor(tensor: HostTensor, to: DataType, array: string): HostTensor {
  if (tensor.dtype === to) return tensor;
  if (!isCastable(tensor.dtype, to)) {
    throw new TritforgeError('DATASET_DTYPE_MISMATCH', `array '${array}' is ${tensor.dtype} and cannot become ${to}`, {
      field: array,
    });
  }
  const numbers = asNumbers(tensor);
  if (FLOATS.includes(to)) return { dtype: to, shape: tensor.shape, data: floatData(numbers, to) };
  const [low, high] = INTEGER_RANGES[to]!;
  for (let i = 0; i < numbers.length; i++) {
    const value = numbers[i]!;
    if (value < low || value > high) {
      throw new TritforgeError(
        'DATASET_DTYPE_MISMATCH',
        `array '${array}' has the value ${value}, which ${to} cannot hold`,
        {
          field: array,
          remediation: `Store values between ${low} and ${high}.`,
        },
      );
    }
  }
  return { dtype: to, shape: tensor.shape, data: integerData(numbers, to) };
}
