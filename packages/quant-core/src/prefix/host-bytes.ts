import type { DataType } from '../ir/index.js';
import type { HostTensor } from '../runtime/runtime.js';

type Numbers = Exclude<HostTensor['data'], readonly string[]>;
type View = new (buffer: ArrayBuffer, byteOffset: number, length: number) => Numbers;

/** How each type that execution returns lies in memory. Strings are kept as JSON. */
const VIEWS: Partial<Record<DataType, View & { readonly BYTES_PER_ELEMENT: number }>> = {
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
};

/** Whether tensors of the type can be kept as bytes; the others stay inside the engine. */
export function isStorable(dtype: DataType): boolean {
  return dtype === 'string' || VIEWS[dtype] !== undefined;
}

/** The tensor's data as bytes; numbers share memory with it. */
export function hostBytes({ data }: HostTensor): Uint8Array {
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return new TextEncoder().encode(JSON.stringify(data));
}

/** The tensor whose {@link hostBytes} these are; numbers share memory with them where their alignment allows it. */
export function hostTensor(dtype: DataType, shape: readonly number[], bytes: Uint8Array): HostTensor {
  if (dtype === 'string') {
    return { dtype, shape, data: JSON.parse(new TextDecoder().decode(bytes)) as readonly string[] };
  }
  const Numbers = VIEWS[dtype];
  if (Numbers === undefined) throw new TypeError(`tensors of type ${dtype} have no form in memory`);
  const aligned = bytes.byteOffset % Numbers.BYTES_PER_ELEMENT === 0 ? bytes : bytes.slice();
  const length = aligned.byteLength / Numbers.BYTES_PER_ELEMENT;
  return { dtype, shape, data: new Numbers(aligned.buffer as ArrayBuffer, aligned.byteOffset, length) };
}
