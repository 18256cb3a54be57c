import { TritforgeError } from '@tritforge/contracts';
import type { DataType } from '../../ir/index.js';

/** TensorProto.DataType by number. */
const NAMES: readonly DataType[] = [
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

const NUMBERS = new Map(NAMES.map((name, number) => [name, number]));

/**
 * The element type that a file means by a number.
 * @throws TritforgeError MODEL_UNSUPPORTED_DTYPE for numbers that onnxruntime 1.30 does not know
 */
export function dataTypeOf(number: number, where: string): DataType {
  const name = NAMES[number];
  if (name !== undefined) return name;
  throw new TritforgeError('MODEL_UNSUPPORTED_DTYPE', `${where} has the unknown element type ${number}`, {
    remediation: 'Export the model with float32 weights and activations.',
  });
}

/** The number that a file uses for an element type. */
export function dataTypeNumber(dtype: DataType): number {
  return NUMBERS.get(dtype)!;
}
