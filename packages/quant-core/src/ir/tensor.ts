import { byteLengthOf, type DataType } from './dtype.js';

/**
 * Where the little-endian bytes of a constant tensor are: in memory, or in a window of a file that is read only when
 * needed. A file window is how models larger than memory stay out of it.
 */
export type TensorBytes =
  | { readonly kind: 'memory'; readonly bytes: Uint8Array }
  | { readonly kind: 'file'; readonly path: string; readonly offset: number; readonly byteLength: number };

/** A constant tensor. Row-major; `bytes` are exactly those of ONNX `raw_data`. String tensors keep `strings` instead. */
export interface Tensor {
  readonly dtype: DataType;
  readonly shape: readonly number[];
  readonly data: TensorBytes;
  readonly strings?: readonly Uint8Array[];
  /** What the file carries besides, kept for the way back; only onnx/ looks inside. */
  readonly opaque?: unknown;
}

/** Number of elements; 1 for a scalar. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Bytes of the tensor's data. */
export function tensorByteLength(tensor: Tensor): number {
  return byteLengthOf(tensor.dtype, elementCount(tensor.shape));
}
