import type { DataType } from './dtype.js';
import { type Tensor, tensorByteLength } from './tensor.js';

/**
 * A tensor over bytes in memory, without a copy: `bytes` are little-endian and row-major, as in ONNX `raw_data`.
 * @throws RangeError when the number of bytes does not fit dtype and shape
 */
export function tensorFromBytes(dtype: DataType, shape: readonly number[], bytes: Uint8Array): Tensor {
  const tensor: Tensor = { dtype, shape: [...shape], data: { kind: 'memory', bytes } };
  if (tensorByteLength(tensor) !== bytes.byteLength) {
    throw new RangeError(`${bytes.byteLength} bytes do not make a ${dtype} tensor of shape [${shape.join(', ')}]`);
  }
  return tensor;
}

/** A float32 tensor that shares the array's memory. @throws RangeError when the length does not fit the shape */
export function tensorFromFloats(shape: readonly number[], values: Float32Array): Tensor {
  return tensorFromBytes('float32', shape, bytesOf(values));
}

/** An int8 tensor that shares the array's memory. @throws RangeError when the length does not fit the shape */
export function tensorFromInt8(shape: readonly number[], values: Int8Array): Tensor {
  return tensorFromBytes('int8', shape, bytesOf(values));
}

/** A uint8 tensor that shares the array's memory. @throws RangeError when the length does not fit the shape */
export function tensorFromUint8(shape: readonly number[], values: Uint8Array): Tensor {
  return tensorFromBytes('uint8', shape, values);
}

/** An int32 tensor that shares the array's memory. @throws RangeError when the length does not fit the shape */
export function tensorFromInt32(shape: readonly number[], values: Int32Array): Tensor {
  return tensorFromBytes('int32', shape, bytesOf(values));
}

/** An int64 tensor, a copy. @throws RangeError when the length does not fit the shape */
export function tensorFromInt64(shape: readonly number[], values: Iterable<number | bigint>): Tensor {
  return tensorFromBytes('int64', shape, bytesOf(BigInt64Array.from(Array.from(values, BigInt))));
}

/** A float32 scalar (rank 0). */
export function scalarFloat(value: number): Tensor {
  return tensorFromFloats([], Float32Array.of(value));
}

/** An int8 scalar (rank 0). */
export function scalarInt8(value: number): Tensor {
  return tensorFromInt8([], Int8Array.of(value));
}

/** A uint8 scalar (rank 0). */
export function scalarUint8(value: number): Tensor {
  return tensorFromUint8([], Uint8Array.of(value));
}

/** An int32 scalar (rank 0). */
export function scalarInt32(value: number): Tensor {
  return tensorFromInt32([], Int32Array.of(value));
}

/** An int64 scalar (rank 0). */
export function scalarInt64(value: number | bigint): Tensor {
  return tensorFromInt64([], [value]);
}

function bytesOf(array: Float32Array | Int8Array | Int32Array | BigInt64Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
