import { float16ToNumber } from '../ir/index.js';
import type { HostTensor } from './runtime.js';

/** Value of each float16 bit pattern; filled when first needed. */
let halfValues: Float32Array | undefined;

/** Whether {@link hostFloats} can read the tensor. */
export function isFloating(dtype: HostTensor['dtype']): boolean {
  return dtype === 'float32' || dtype === 'float64' || dtype === 'float16';
}

/**
 * The elements of a floating-point tensor; float32 and float64 are not copied.
 * @throws TypeError for other dtypes
 */
export function hostFloats(tensor: HostTensor): Float32Array | Float64Array {
  const { data } = tensor;
  if (data instanceof Float32Array || data instanceof Float64Array) return data;
  if (tensor.dtype === 'float16' && data instanceof Uint16Array) return halvesToFloats(data);
  throw new TypeError(`a tensor of type ${tensor.dtype} is not floating point`);
}

function halvesToFloats(halves: Uint16Array): Float32Array {
  halfValues ??= Float32Array.from({ length: 2 ** 16 }, (_, bits) => float16ToNumber(bits));
  const table = halfValues;
  const floats = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) floats[i] = table[halves[i] as number] as number;
  return floats;
}
