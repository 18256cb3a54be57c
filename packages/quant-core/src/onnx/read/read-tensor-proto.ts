import { TritforgeError } from '@tritforge/contracts';
import { bitsOf, type Tensor, type TensorBytes } from '../../ir/index.js';
import type { ModelLimits } from '../limits.js';
import { dataTypeOf } from '../wire/data-types.js';
import { leftovers } from '../wire/leftovers.js';
import type { TensorProto } from '../wire/onnx_pb.js';
import { isRawLayout, RawPacker, type TypedLayout, typedLayoutOf, VarintDecoder } from '../wire/typed-data.js';
import type { ExternalFiles } from './external-files.js';
import { type FieldWindow, WINDOW_MIN_BYTES } from './skim.js';
import type { SourceFile } from './source-file.js';

/** More dimensions than any tensor has. */
const MAX_RANK = 64;
/** Longest path that a file system takes. */
const MAX_ENTRY_LENGTH = 4096;
/** TensorProto.DataLocation.EXTERNAL. */
const LOCATION_EXTERNAL = 1;

const CONSUMED = new Set([
  'dims',
  'dataType',
  'rawData',
  'floatData',
  'int32Data',
  'stringData',
  'int64Data',
  'doubleData',
  'uint64Data',
  'externalData',
  'dataLocation',
  'window',
]);

const CONSUMED_WITH_NAME = new Set([...CONSUMED, 'name']);

/** Turns TensorProtos of one model file into tensors whose bytes are as in raw_data, in memory or in a file. */
export class TensorReader {
  readonly #model: SourceFile;
  readonly #external: ExternalFiles;
  readonly #windows: readonly FieldWindow[];
  readonly #limits: ModelLimits;
  #unpackedBytes = 0;

  constructor(model: SourceFile, external: ExternalFiles, windows: readonly FieldWindow[], limits: ModelLimits) {
    this.#model = model;
    this.#external = external;
    this.#windows = windows;
    this.#limits = limits;
  }

  /**
   * @param where what to call the tensor in messages
   * @param isNamedByKey whether the graph keeps the tensor under its name, so that the tensor need not
   * @throws TritforgeError MODEL_INVALID, MODEL_UNSUPPORTED_DTYPE, MODEL_TENSOR_SIZE_MISMATCH, MODEL_TENSOR_TOO_LARGE,
   *   MODEL_EXTERNAL_DATA_MISSING, MODEL_EXTERNAL_DATA_ESCAPES, MODEL_EXTERNAL_DATA_RANGE
   */
  read(proto: TensorProto, where: string, isNamedByKey = false): Tensor {
    const dtype = dataTypeOf(proto.dataType ?? 0, where);
    if (dtype === 'undefined') throw invalid(where, 'has no element type');
    const shape = proto.dims.map(Number);
    if (shape.length > MAX_RANK) throw invalid(where, `has ${shape.length} dimensions`);
    const rest = leftovers(proto, isNamedByKey ? CONSUMED_WITH_NAME : CONSUMED);
    const opaque = rest === undefined ? {} : { opaque: rest };
    const elements = countElements(shape, dtype, where);
    if (dtype === 'string') {
      if (proto.stringData.length !== elements)
        throw mismatch(where, `${proto.stringData.length} strings`, shape, dtype);
      return { dtype, shape, data: { kind: 'memory', bytes: new Uint8Array(0) }, strings: proto.stringData, ...opaque };
    }
    const byteLength = Math.ceil((elements * bitsOf(dtype)) / 8);
    if (byteLength > this.#limits.maxTensorBytes) throw tooLarge(where, byteLength, this.#limits.maxTensorBytes);
    const data = this.#data(proto, typedLayoutOf(dtype)!, byteLength, where);
    const actual = data.kind === 'memory' ? data.bytes.byteLength : data.byteLength;
    if (actual !== byteLength) throw mismatch(where, `${actual} bytes`, shape, dtype);
    return { dtype, shape, data, ...opaque };
  }

  #data(proto: TensorProto, layout: TypedLayout, byteLength: number, where: string): TensorBytes {
    const lists = [proto.floatData, proto.doubleData, proto.int32Data, proto.int64Data, proto.uint64Data];
    const filled = lists.filter((list) => list.length > 0).length;
    const sources = filled + Number(proto.window !== undefined) + Number((proto.rawData?.byteLength ?? 0) > 0);
    if (proto.dataLocation === LOCATION_EXTERNAL) {
      if (sources > 0) throw invalid(where, 'has its data both inside and outside the file');
      return this.#externalData(proto, byteLength, where);
    }
    if (sources > 1) throw invalid(where, 'has its data twice');
    if (proto.window !== undefined) return this.#windowData(this.#windows[proto.window]!, layout, byteLength, where);
    if (filled === 0) return { kind: 'memory', bytes: proto.rawData ?? new Uint8Array(0) };
    const list = listOf(proto, layout);
    if (list.length === 0) throw invalid(where, `has its data in another field than ${layout.field}`);
    return this.#pack(layout, byteLength, where, (packer) => {
      for (const value of list) packer.add(value);
    });
  }

  #windowData(window: FieldWindow, layout: TypedLayout, byteLength: number, where: string): TensorBytes {
    const isRaw = window.field === 'raw_data';
    if (!isRaw && window.field !== layout.field)
      throw invalid(where, `has its data in ${window.field}, not ${layout.field}`);
    if (isRaw || isRawLayout(layout)) {
      return { kind: 'file', path: this.#model.path, offset: window.offset, byteLength: window.byteLength };
    }
    return this.#pack(layout, byteLength, where, (packer) => {
      const decoder = new VarintDecoder(packer);
      const pieceBytes = 1024 * 1024;
      for (let at = 0; at < window.byteLength; at += pieceBytes) {
        decoder.push(this.#model.read(window.offset + at, Math.min(pieceBytes, window.byteLength - at)));
      }
    });
  }

  #pack(layout: TypedLayout, byteLength: number, where: string, fill: (packer: RawPacker) => void): TensorBytes {
    this.#unpackedBytes += byteLength;
    if (this.#unpackedBytes > this.#limits.maxUnpackedBytes) {
      throw tooLarge(where, this.#unpackedBytes, this.#limits.maxUnpackedBytes);
    }
    const packer = new RawPacker(layout, byteLength);
    fill(packer);
    const expected = byteLength / layout.entryBytes;
    if (packer.entries !== expected) {
      throw new TritforgeError(
        'MODEL_TENSOR_SIZE_MISMATCH',
        `${where} has ${packer.entries} entries of ${layout.field} where its shape needs ${expected}`,
        { remediation: REMEDY_DAMAGED },
      );
    }
    return { kind: 'memory', bytes: packer.bytes };
  }

  #externalData(proto: TensorProto, byteLength: number, where: string): TensorBytes {
    const entries = new Map(proto.externalData.map(({ key, value }) => [key ?? '', value ?? '']));
    for (const [key, value] of entries) {
      if (value.length > MAX_ENTRY_LENGTH)
        throw invalid(where, `has ${value.length} characters of ${key.slice(0, 32)}`);
    }
    const file = this.#external.open(entries.get('location') ?? '', where);
    const offset = decimal(entries.get('offset') ?? '0', 'offset', where);
    const length = entries.has('length') ? decimal(entries.get('length')!, 'length', where) : file.sizeBytes - offset;
    if (offset > file.sizeBytes || offset + length > file.sizeBytes) {
      const message = `${where} lies at bytes ${offset} to ${offset + length} of a file of ${file.sizeBytes} bytes`;
      throw new TritforgeError('MODEL_EXTERNAL_DATA_RANGE', message, {
        field: entries.get('location') ?? '',
        remediation: 'The data file is cut off or belongs to another model; send both again.',
      });
    }
    if (length >= WINDOW_MIN_BYTES || length !== byteLength) {
      return { kind: 'file', path: file.path, offset, byteLength: length };
    }
    return { kind: 'memory', bytes: file.read(offset, length) };
  }
}

function listOf(proto: TensorProto, layout: TypedLayout): readonly (number | bigint)[] {
  switch (layout.field) {
    case 'float_data':
      return proto.floatData;
    case 'double_data':
      return proto.doubleData;
    case 'int32_data':
      return proto.int32Data;
    case 'int64_data':
      return proto.int64Data;
    case 'uint64_data':
      return proto.uint64Data;
  }
}

function countElements(shape: readonly number[], dtype: string, where: string): number {
  let elements = 1;
  for (const size of shape) {
    if (size < 0) throw mismatch(where, 'a negative dimension', shape, dtype);
    elements *= size;
  }
  // A zero elsewhere does not make an impossible dimension possible: 0 × 2^62 bytes are refused too.
  const magnitude = shape.reduce((product, size) => product * Math.max(size, 1), 1);
  if (magnitude > Number.MAX_SAFE_INTEGER) throw tooLarge(where, magnitude, Number.MAX_SAFE_INTEGER);
  return elements;
}

function decimal(text: string, key: string, where: string): number {
  const value = Number(text);
  if (/^\d{1,16}$/.test(text) && Number.isSafeInteger(value)) return value;
  throw new TritforgeError('MODEL_EXTERNAL_DATA_RANGE', `${where} has the ${key} ${JSON.stringify(text)}`, {
    remediation: `The ${key} of external data is a number of bytes; export the model again.`,
  });
}

const REMEDY_DAMAGED = 'The file is damaged or was written by a faulty exporter; export it again.';

function invalid(where: string, why: string): TritforgeError {
  return new TritforgeError('MODEL_INVALID', `${where} ${why}`, { remediation: REMEDY_DAMAGED });
}

function mismatch(where: string, found: string, shape: readonly number[], dtype: string): TritforgeError {
  const message = `${where} has ${found}, but the shape [${shape.join(', ')}] of ${dtype}`;
  return new TritforgeError('MODEL_TENSOR_SIZE_MISMATCH', message, { remediation: REMEDY_DAMAGED });
}

function tooLarge(where: string, bytes: number, limit: number): TritforgeError {
  return new TritforgeError('MODEL_TENSOR_TOO_LARGE', `${where} needs ${bytes} bytes; the limit is ${limit}`, {
    remediation: 'Split the tensor, or raise the limit of the service.',
  });
}
