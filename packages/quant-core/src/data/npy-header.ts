/**
 * The header of a .npy file (NumPy enhancement proposal 1): 6 bytes `\x93NUMPY`, version major and minor, the length of
 * the header as uint16 (version 1) or uint32 (2 and 3), then a Python dictionary literal, padded with spaces:
 * `{'descr': '<f4', 'fortran_order': False, 'shape': (10, 3), }`.
 */
import { TritforgeError } from '@tritforge/contracts';
import { byteLengthOf, type DataType, elementCount } from '../ir/index.js';
import { type PythonLiteral, parsePythonLiteral } from './python-literal.js';

export interface NpyHeader {
  readonly dtype: DataType;
  readonly shape: readonly number[];
  /** Where the values start. */
  readonly dataOffset: number;
  readonly dataBytes: number;
}

const MAGIC = '\x93NUMPY';
const DTYPES: Readonly<Record<string, DataType>> = {
  b1: 'bool',
  u1: 'uint8',
  i1: 'int8',
  u2: 'uint16',
  i2: 'int16',
  u4: 'uint32',
  i4: 'int32',
  i8: 'int64',
  f2: 'float16',
  f4: 'float32',
  f8: 'float64',
};
/** Bytes from the start of a file that are certain to hold the fixed part and tell the length of the header. */
export const NPY_PREFIX_BYTES = 12;
const MAX_HEADER_BYTES = 1 << 16;

/**
 * Where the values start, from the first {@link NPY_PREFIX_BYTES} bytes.
 * @throws TritforgeError DATASET_ARRAY_INVALID
 */
export function npyDataOffset(prefix: Uint8Array, array: string): number {
  const bytes = Buffer.from(prefix.buffer, prefix.byteOffset, prefix.byteLength);
  if (bytes.length < 10 || bytes.toString('latin1', 0, 6) !== MAGIC)
    throw invalid(array, 'does not start as a .npy file');
  const major = bytes[6]!;
  if (major < 1 || major > 3) throw invalid(array, `has the .npy version ${major}; 1 to 3 are known`);
  if (major > 1 && bytes.length < 12) throw invalid(array, 'ends inside its header');
  const headerBytes = major === 1 ? bytes.readUInt16LE(8) : bytes.readUInt32LE(8);
  if (headerBytes > MAX_HEADER_BYTES) throw invalid(array, `has a header of ${headerBytes} bytes`);
  return (major === 1 ? 10 : 12) + headerBytes;
}

/**
 * Parses the header; `bytes` end where the values start.
 * @throws TritforgeError DATASET_ARRAY_INVALID, DATASET_DTYPE_UNSUPPORTED
 */
export function parseNpyHeader(bytes: Uint8Array, array: string): NpyHeader {
  const start = bytes[6] === 1 ? 10 : 12;
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1', start);
  const fields = headerFields(text, array);
  const dtype = dtypeOf(fields.descr, array);
  const { shape } = fields;
  if (fields.fortranOrder && shape.length > 1) {
    throw invalid(array, 'is stored in Fortran order', 'Save numpy.ascontiguousarray(array).');
  }
  const elements = elementCount(shape);
  if (!Number.isSafeInteger(elements * 8)) throw invalid(array, `has the impossible shape (${shape.join(', ')})`);
  return { dtype, shape, dataOffset: bytes.length, dataBytes: byteLengthOf(dtype, elements) };
}

function headerFields(text: string, array: string) {
  try {
    const fields = parsePythonLiteral(text);
    if (!(fields instanceof Map)) throw new SyntaxError('is no dictionary');
    const [descr, fortranOrder, shape] = ['descr', 'fortran_order', 'shape'].map((key) => fields.get(key));
    if (descr === undefined || typeof fortranOrder !== 'boolean' || !isShape(shape)) {
      throw new SyntaxError('lacks descr, fortran_order or shape');
    }
    return { descr, fortranOrder, shape };
  } catch (error) {
    throw invalid(array, `has a header that cannot be read: ${(error as Error).message}`);
  }
}

function isShape(value: PythonLiteral | undefined): value is readonly number[] {
  return Array.isArray(value) && value.every((size) => typeof size === 'number');
}

function dtypeOf(descr: PythonLiteral, array: string): DataType {
  const text = typeof descr === 'string' ? descr : 'a record';
  const [, order, kind] = /^([<>=|]?)(.*)$/s.exec(text)!;
  const dtype = DTYPES[kind!];
  if (dtype !== undefined && (order === '<' || kind!.endsWith('1'))) return dtype;
  throw new TritforgeError('DATASET_DTYPE_UNSUPPORTED', `array '${array}' has the NumPy dtype ${text.slice(0, 40)}`, {
    field: array,
    remediation:
      dtype === undefined
        ? `Save it as one of ${Object.values(DTYPES).join(', ')}; objects, strings and records are refused.`
        : "Save it little-endian: array.astype(array.dtype.newbyteorder('<')).",
  });
}

function invalid(array: string, what: string, remediation = 'Write the array with numpy.savez.'): TritforgeError {
  return new TritforgeError('DATASET_ARRAY_INVALID', `array '${array}' ${what}`, { field: array, remediation });
}
