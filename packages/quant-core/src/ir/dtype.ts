/** Element types of tensors, by ONNX's names in lower case. */
export type DataType =
  | 'float32'
  | 'float64'
  | 'float16'
  | 'bfloat16'
  | 'int8'
  | 'int16'
  | 'int32'
  | 'int64'
  | 'uint8'
  | 'uint16'
  | 'uint32'
  | 'uint64'
  | 'bool'
  | 'string'
  | 'complex64'
  | 'complex128'
  | 'float8e4m3fn'
  | 'float8e4m3fnuz'
  | 'float8e5m2'
  | 'float8e5m2fnuz'
  | 'float8e8m0'
  | 'float4e2m1'
  | 'int4'
  | 'uint4'
  | 'int2'
  | 'uint2'
  | 'undefined';

const BITS: Readonly<Record<DataType, number>> = {
  float32: 32,
  float64: 64,
  float16: 16,
  bfloat16: 16,
  int8: 8,
  int16: 16,
  int32: 32,
  int64: 64,
  uint8: 8,
  uint16: 16,
  uint32: 32,
  uint64: 64,
  bool: 8,
  string: 0,
  complex64: 64,
  complex128: 128,
  float8e4m3fn: 8,
  float8e4m3fnuz: 8,
  float8e5m2: 8,
  float8e5m2fnuz: 8,
  float8e8m0: 8,
  float4e2m1: 4,
  int4: 4,
  uint4: 4,
  int2: 2,
  uint2: 2,
  undefined: 0,
};

/** Bits of one element as stored; 0 for strings and undefined. */
export function bitsOf(dtype: DataType): number {
  return BITS[dtype];
}

/** Bytes that `elements` elements take when packed, as ONNX stores them. */
export function byteLengthOf(dtype: DataType, elements: number): number {
  return Math.ceil((elements * BITS[dtype]) / 8);
}

/** Whether the type is smaller than a byte. */
export function isSubByte(dtype: DataType): boolean {
  return BITS[dtype] > 0 && BITS[dtype] < 8;
}
