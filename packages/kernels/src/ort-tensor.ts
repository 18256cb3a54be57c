/** Tensors of ONNX Runtime sessions, and the checks they pass before they reach native code. */

/** Element types that sessions take and return. Strings, bfloat16 and sub-byte types are refused. */
export type OrtDataType = keyof typeof ARRAYS;

/** bool is Uint8Array, float16 is Uint16Array. */
const ARRAYS = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  int8: Int8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
} as const;

/** Over memory of one thread or shared by several; what others write while a tensor is read or written may or may not be seen. */
export type OrtTensorData =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array;

/** A dense tensor in row-major order. A scalar has the shape []. */
export interface OrtTensor {
  readonly dtype: OrtDataType;
  readonly shape: readonly number[];
  readonly data: OrtTensorData;
}

/** An input or output of a model. */
export interface OrtValueInfo {
  readonly name: string;
  /** An element type by its ONNX name in lower case; 'undefined' where the value is not a tensor or of a type we do not know. */
  readonly dtype: OrtDataType | 'string' | 'bfloat16' | 'undefined';
  /** A string names a size that is not fixed, null is one without a name. [] for scalars and where the rank is unknown. */
  readonly shape: readonly (number | string | null)[];
}

/**
 * Checks a tensor against the input or output it is for.
 * @throws TypeError or RangeError that names it, what it expects and what it got
 */
export function checkTensor(role: 'input' | 'output', value: OrtValueInfo, tensor: OrtTensor): void {
  if (tensor === null || typeof tensor !== 'object') {
    throw new TypeError(`${role} "${value.name}" must be a tensor, got ${tensor === null ? 'null' : typeof tensor}`);
  }
  if (!isTransferable(value.dtype)) {
    throw new TypeError(`${role} "${value.name}" has elements of type ${value.dtype}, which cannot be given`);
  }
  if (tensor.dtype !== value.dtype) {
    throw new TypeError(`${role} "${value.name}" must be of type ${value.dtype}, got ${tensor.dtype}`);
  }
  checkShape(role, value, tensor.shape);
  const expected = ARRAYS[value.dtype];
  if (!(tensor.data instanceof expected)) {
    throw new TypeError(
      `${role} "${value.name}" of type ${value.dtype} needs data in a ${expected.name}, got ${kindOf(tensor.data)}`,
    );
  }
  const count = tensor.shape.reduce((product, size) => product * size, 1);
  if (tensor.data.length !== count) {
    throw new RangeError(
      `${role} "${value.name}" of shape [${tensor.shape.join(', ')}] needs ${count} elements, got ${tensor.data.length}`,
    );
  }
}

/**
 * Checks that an output can be returned.
 * @throws TypeError that names the output and its type
 */
export function checkOutput(output: OrtValueInfo): void {
  // A type that is not declared may still turn out to be one that can be returned.
  if (output.dtype === 'string' || output.dtype === 'bfloat16') {
    throw new TypeError(`output "${output.name}" has elements of type ${output.dtype}, which cannot be returned`);
  }
}

function checkShape(role: string, value: OrtValueInfo, shape: readonly number[]): void {
  if (!Array.isArray(shape) || !shape.every((size) => Number.isSafeInteger(size) && size >= 0)) {
    throw new RangeError(`${role} "${value.name}" needs a shape of integers from 0, got ${shape}`);
  }
  // ONNX Runtime says [] of an unknown rank too, and checks it itself.
  if (value.shape.length === 0) return;
  const fits =
    shape.length === value.shape.length &&
    value.shape.every((expected, axis) => typeof expected !== 'number' || expected === shape[axis]);
  if (fits) return;
  const expected = value.shape.map((size) => size ?? '?').join(', ');
  throw new RangeError(`${role} "${value.name}" must have the shape [${expected}], got [${shape.join(', ')}]`);
}

function isTransferable(dtype: OrtValueInfo['dtype']): dtype is OrtDataType {
  return Object.hasOwn(ARRAYS, dtype);
}

function kindOf(value: unknown): string {
  return value !== null && typeof value === 'object' ? value.constructor.name : typeof value;
}
