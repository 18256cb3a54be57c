import { TritforgeError } from '@tritforge/contracts';
import { bitsOf, type DataType, float16ToNumber } from '../ir/index.js';
import type { HostTensor } from '../runtime/runtime.js';
import { type FileWindow, readInto, readWindow } from './file-window.js';
import { NPY_PREFIX_BYTES, type NpyHeader, npyDataOffset, parseNpyHeader } from './npy-header.js';

/** An array of an .npz whose values stay in the file. */
export interface NpyArray extends NpyHeader {
  readonly name: string;
  readonly window: FileWindow;
}

/**
 * Reads the header of an array.
 * @throws TritforgeError DATASET_ARRAY_INVALID, DATASET_DTYPE_UNSUPPORTED, DATASET_CORRUPT
 */
export async function openArray(name: string, window: FileWindow): Promise<NpyArray> {
  const prefix = await readWindow(window, 0, Math.min(NPY_PREFIX_BYTES, window.byteLength));
  const dataOffset = npyDataOffset(prefix, name);
  const header = parseNpyHeader(await readWindow(window, 0, dataOffset), name);
  const has = window.byteLength - dataOffset;
  if (has !== header.dataBytes) {
    const shape = header.shape.join(', ');
    throw new TritforgeError(
      'DATASET_ARRAY_INVALID',
      `array '${name}' has ${has} bytes of values; ${header.dtype} of the shape (${shape}) takes ${header.dataBytes}`,
      { field: name, remediation: 'Write the array with numpy.savez.' },
    );
  }
  return { ...header, name, window };
}

/**
 * Reads samples; consecutive ones in one piece.
 * @throws TritforgeError DATASET_VALUES_INVALID when a float is not finite
 */
export async function readSamples(array: NpyArray, indices: readonly number[]): Promise<HostTensor> {
  const sampleShape = array.shape.slice(1);
  const sampleBytes = array.dataBytes / array.shape[0]!;
  const bytes = new Uint8Array(indices.length * sampleBytes);
  for (let i = 0; i < indices.length; ) {
    let run = 1;
    while (indices[i + run] === indices[i]! + run) run++;
    const part = bytes.subarray(i * sampleBytes, (i + run) * sampleBytes);
    await readInto(array.window.handle, part, array.window.offset + array.dataOffset + indices[i]! * sampleBytes);
    i += run;
  }
  const data = viewAs(array.dtype, bytes);
  checkFinite(array, data, indices);
  return { dtype: array.dtype, shape: [indices.length, ...sampleShape], data };
}

function viewAs(dtype: DataType, bytes: Uint8Array<ArrayBuffer>): Exclude<HostTensor['data'], readonly string[]> {
  const { buffer } = bytes;
  switch (dtype) {
    case 'int8':
      return new Int8Array(buffer);
    case 'uint16':
    case 'float16':
      return new Uint16Array(buffer);
    case 'int16':
      return new Int16Array(buffer);
    case 'uint32':
      return new Uint32Array(buffer);
    case 'int32':
      return new Int32Array(buffer);
    case 'int64':
      return new BigInt64Array(buffer);
    case 'float32':
      return new Float32Array(buffer);
    case 'float64':
      return new Float64Array(buffer);
    default:
      return bytes;
  }
}

function checkFinite(array: NpyArray, data: ReturnType<typeof viewAs>, indices: readonly number[]): void {
  const values = data as Float32Array;
  const finite = FINITE_CHECKS[array.dtype];
  if (finite === undefined) return;
  for (let i = 0; i < values.length; i++) {
    if (finite(values[i]!)) continue;
    const sample = indices[Math.floor(i / (values.length / indices.length))];
    throw new TritforgeError(
      'DATASET_VALUES_INVALID',
      `array '${array.name}' has NaN or infinity in sample ${sample}`,
      {
        field: array.name,
        remediation: 'Remove or repair the sample.',
      },
    );
  }
}

/** By dtype. A float64 that float32 cannot hold counts as infinite: models take float32. */
const FINITE_CHECKS: Partial<Record<DataType, (value: number) => boolean>> = {
  float16: (value) => Number.isFinite(float16ToNumber(value)),
  float32: Number.isFinite,
  float64: (value) => Number.isFinite(Math.fround(value)),
};

/** Bytes of one sample. */
export function sampleBytesOf({ shape, dtype }: Pick<NpyHeader, 'shape' | 'dtype'>): number {
  return (shape.slice(1).reduce((product, size) => product * size, 1) * bitsOf(dtype)) / 8;
}
