import { byteLengthOfData, type TensorBytes } from '../../ir/index.js';
import { WINDOW_MIN_BYTES } from '../read/skim.js';
import type { TensorProto } from '../wire/onnx_pb.js';
import { setExternalData } from './external-entries.js';

/** Where a writer puts the bytes of a tensor. */
export interface DataPlacement {
  /** Fills in raw_data, window or external_data. `canBeExternal` is false where runtimes expect the data in the file. */
  place(proto: TensorProto, data: TensorBytes, canBeExternal: boolean): void;
}

/** Puts large data into the file by reference: `window` in the message, the bytes in {@link InlinePayloads.list}. */
export class InlinePayloads implements DataPlacement {
  readonly list: TensorBytes[] = [];

  place(proto: TensorProto, data: TensorBytes): void {
    if (data.kind === 'memory' && data.bytes.byteLength < WINDOW_MIN_BYTES) proto.rawData = data.bytes;
    else proto.window = this.list.push(data) - 1;
  }
}

/** Data of this many bytes and more goes to the external file; less stays inline, where shape inference reads it. */
const EXTERNAL_MIN_BYTES = 1024;
/** Large tensors start at a page, so that a runtime can map them; small ones at a cache line. */
const PAGE_BYTES = 4096;
const LINE_BYTES = 64;
const PAGE_ALIGN_MIN_BYTES = 64 * 1024;

/** A tensor's place in the external data file. */
export interface ExternalPart {
  readonly offset: number;
  readonly data: TensorBytes;
}

/** Puts large initializers into one data file beside the model, in order. */
export class ExternalPayloads implements DataPlacement {
  readonly parts: ExternalPart[] = [];
  readonly #inline: InlinePayloads;
  readonly #location: string;
  #end = 0;

  constructor(location: string, inline: InlinePayloads) {
    this.#location = location;
    this.#inline = inline;
  }

  place(proto: TensorProto, data: TensorBytes, canBeExternal: boolean): void {
    const byteLength = byteLengthOfData(data);
    if (!canBeExternal || byteLength < EXTERNAL_MIN_BYTES) {
      this.#inline.place(proto, data);
      return;
    }
    const alignment = byteLength >= PAGE_ALIGN_MIN_BYTES ? PAGE_BYTES : LINE_BYTES;
    const offset = Math.ceil(this.#end / alignment) * alignment;
    this.#end = offset + byteLength;
    this.parts.push({ offset, data });
    setExternalData(proto, { location: this.#location, offset, length: byteLength });
  }
}

/** Lets large initializers that already lie in a file stay there and names the place; the rest goes to `fallback`. */
export class ReferencedPayloads implements DataPlacement {
  /** Files that the model refers to, by path, with the name that it uses. */
  readonly files = new Map<string, string>();
  readonly #fallback: DataPlacement;
  readonly #nameOf: (path: string, index: number) => string;

  /** @param nameOf name of a file, relative to the folder of the model */
  constructor(nameOf: (path: string, index: number) => string, fallback: DataPlacement) {
    this.#nameOf = nameOf;
    this.#fallback = fallback;
  }

  place(proto: TensorProto, data: TensorBytes, canBeExternal: boolean): void {
    if (!canBeExternal || data.kind === 'memory' || data.byteLength < EXTERNAL_MIN_BYTES) {
      this.#fallback.place(proto, data, canBeExternal);
      return;
    }
    const location = this.files.get(data.path) ?? this.#nameOf(data.path, this.files.size);
    this.files.set(data.path, location);
    setExternalData(proto, { location, offset: data.offset, length: data.byteLength });
  }
}
