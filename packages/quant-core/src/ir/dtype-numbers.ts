import type { DataType } from './dtype.js';

/** Element types in the order of the numbers that operators such as Cast use for them in attributes. */
const BY_NUMBER: readonly DataType[] = [
  'undefined',
  'float32',
  'uint8',
  'int8',
  'uint16',
  'int16',
  'int32',
  'int64',
  'string',
  'bool',
  'float16',
  'float64',
  'uint32',
  'uint64',
  'complex64',
  'complex128',
  'bfloat16',
  'float8e4m3fn',
  'float8e4m3fnuz',
  'float8e5m2',
  'float8e5m2fnuz',
  'uint4',
  'int4',
  'float4e2m1',
  'float8e8m0',
  'uint2',
  'int2',
];
const NUMBERS = new Map(BY_NUMBER.map((dtype, number) => [dtype, number]));

/** The element type by its ONNX number, as in the `to` attribute of Cast; 'undefined' for unknown numbers. */
export function dtypeByNumber(number: number): DataType {
  return BY_NUMBER[number] ?? 'undefined';
}

/** The ONNX number of an element type, as in the `to` attribute of Cast. */
export function numberOfDtype(dtype: DataType): number {
  return NUMBERS.get(dtype)!;
}
