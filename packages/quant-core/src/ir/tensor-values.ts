import { TritforgeError } from '@tritforge/contracts';
import type { DataType } from './dtype.js';
import { bfloat16ToNumber, float16ToNumber } from './float-formats.js';
import { elementCount, type Tensor } from './tensor.js';
import { readTensor } from './tensor-bytes.js';

/** Whether {@link readFloats} can read the type. */
export function isFloat(dtype: DataType): boolean {
  return dtype === 'float32' || dtype === 'float16' || dtype === 'bfloat16' || dtype === 'float64';
}

/**
 * The elements of a float32, float16, bfloat16 or float64 tensor as float32, row-major. float64 is rounded. The result
 * may share memory with the tensor and must not be changed.
 * @throws TritforgeError MODEL_UNSUPPORTED_DTYPE for other types
 */
export async function readFloats(tensor: Tensor): Promise<Float32Array> {
  if (!isFloat(tensor.dtype)) throw unsupported(tensor, 'floating-point numbers');
  const bytes = await readTensor(tensor);
  if (tensor.dtype === 'float32' && bytes.byteOffset % 4 === 0) {
    return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const floats = new Float32Array(elementCount(tensor.shape));
  for (let i = 0; i < floats.length; i++) floats[i] = floatAt(view, tensor.dtype, i);
  return floats;
}

/**
 * The elements of an integer or bool tensor, row-major, sub-byte types included.
 * @throws TritforgeError MODEL_UNSUPPORTED_DTYPE for other types
 */
export async function readInts(tensor: Tensor): Promise<bigint[]> {
  return decodeInts(tensor, await readTensor(tensor));
}

/** The elements of an integer tensor whose bytes are in memory; null for other types and for data in a file. */
export function intsInMemory(tensor: Tensor): bigint[] | null {
  if (tensor.data.kind !== 'memory' || !(tensor.dtype in INT_READERS)) return null;
  return decodeInts(tensor, tensor.data.bytes);
}

/** The elements of a floating-point tensor whose bytes are in memory; null for other types and for data in a file. */
export function floatsInMemory(tensor: Tensor): number[] | null {
  if (tensor.data.kind !== 'memory' || !isFloat(tensor.dtype)) return null;
  const { bytes } = tensor.data;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: elementCount(tensor.shape) }, (_, i) => floatAt(view, tensor.dtype, i));
}

function floatAt(view: DataView, dtype: DataType, index: number): number {
  switch (dtype) {
    case 'float16':
      return float16ToNumber(view.getUint16(index * 2, true));
    case 'bfloat16':
      return bfloat16ToNumber(view.getUint16(index * 2, true));
    case 'float64':
      return view.getFloat64(index * 8, true);
    default:
      return view.getFloat32(index * 4, true);
  }
}

type IntReader = (view: DataView, index: number) => bigint;

const INT_READERS: Partial<Record<DataType, IntReader>> = {
  int8: (view, i) => BigInt(view.getInt8(i)),
  uint8: (view, i) => BigInt(view.getUint8(i)),
  bool: (view, i) => (view.getUint8(i) === 0 ? 0n : 1n),
  int16: (view, i) => BigInt(view.getInt16(i * 2, true)),
  uint16: (view, i) => BigInt(view.getUint16(i * 2, true)),
  int32: (view, i) => BigInt(view.getInt32(i * 4, true)),
  uint32: (view, i) => BigInt(view.getUint32(i * 4, true)),
  int64: (view, i) => view.getBigInt64(i * 8, true),
  uint64: (view, i) => view.getBigUint64(i * 8, true),
  // Packed types: the first element is in the lowest bits of its byte.
  uint4: (view, i) => BigInt((view.getUint8(i >> 1) >> ((i & 1) * 4)) & 15),
  int4: (view, i) => BigInt.asIntN(4, BigInt(view.getUint8(i >> 1) >> ((i & 1) * 4))),
  uint2: (view, i) => BigInt((view.getUint8(i >> 2) >> ((i & 3) * 2)) & 3),
  int2: (view, i) => BigInt.asIntN(2, BigInt(view.getUint8(i >> 2) >> ((i & 3) * 2))),
};

function decodeInts(tensor: Tensor, bytes: Uint8Array): bigint[] {
  const readAt = INT_READERS[tensor.dtype];
  if (readAt === undefined) throw unsupported(tensor, 'integers');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: elementCount(tensor.shape) }, (_, i) => readAt(view, i));
}

function unsupported(tensor: Tensor, wanted: string): TritforgeError {
  return new TritforgeError('MODEL_UNSUPPORTED_DTYPE', `A ${tensor.dtype} tensor stands where ${wanted} are needed`);
}
