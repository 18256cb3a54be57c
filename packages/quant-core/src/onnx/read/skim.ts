import { TritforgeError } from '@tritforge/contracts';
import type { ModelLimits } from '../limits.js';
import { GrowingBuffer } from '../wire/growing-buffer.js';
import {
  type FieldRule,
  type MessageTable,
  MODEL_TABLE,
  WINDOW_FIELD,
  WIRE_BYTES,
  WIRE_FIXED32,
  WIRE_FIXED64,
  WIRE_VARINT,
} from '../wire/message-table.js';
import { FileCursor } from './file-cursor.js';

/** Tensor data of at least this many bytes stays in the file. */
export const WINDOW_MIN_BYTES = 4096;

/** Tensor data that stayed in the file, in the encoding of its field. */
export interface FieldWindow {
  /** Name of the field, such as `raw_data` or `int64_data`. */
  readonly field: string;
  readonly offset: number;
  readonly byteLength: number;
}

/** A model file without its bulk data: small enough to decode, with `window` fields where data was left out. */
export interface Skim {
  readonly skeleton: Uint8Array;
  readonly windows: readonly FieldWindow[];
}

/**
 * Walks the wire format of a model file once and copies everything but bulk tensor data. Memory is that of the skeleton;
 * bulk data is skipped, not read. Works at any file size.
 *
 * @throws TritforgeError MODEL_NOT_ONNX, MODEL_TRUNCATED, MODEL_INVALID, MODEL_TOO_DEEP, MODEL_TOO_COMPLEX,
 *   MODEL_TOO_MANY_NODES
 */
export async function skim(path: string, limits: ModelLimits): Promise<Skim> {
  const cursor = await FileCursor.open(path);
  try {
    return await new Skimmer(cursor, limits).run();
  } finally {
    await cursor.close();
  }
}

/** A message that the walk is inside of. */
interface Frame {
  readonly table: MessageTable;
  readonly fieldName: string;
  /** Offset in the file at which the message ends; beyond the file when that is cut off. */
  readonly end: number;
  /** Where the message's length stands in the skeleton. */
  readonly lengthAt: number;
}

type Counted = 'messages' | 'fields' | 'NodeProto' | 'TensorProto';

/** Longest tag and length together. */
const MAX_HEADER_BYTES = 20;

class Skimmer {
  readonly #cursor: FileCursor;
  readonly #limits: ModelLimits;
  readonly #skeleton: GrowingBuffer;
  readonly #windows: FieldWindow[] = [];
  readonly #frames: Frame[] = [];
  readonly #counts: Record<Counted, number> = { messages: 0, fields: 0, NodeProto: 0, TensorProto: 0 };
  /** Every exporter writes ir_version first; what breaks before it was never a model. */
  #looksLikeModel = false;
  #frame: Frame;

  constructor(cursor: FileCursor, limits: ModelLimits) {
    this.#cursor = cursor;
    this.#limits = limits;
    this.#skeleton = new GrowingBuffer(limits.maxSkeletonBytes);
    this.#frame = { table: MODEL_TABLE, fieldName: 'model', end: Number.POSITIVE_INFINITY, lengthAt: -1 };
  }

  async run(): Promise<Skim> {
    for (;;) {
      while (this.#cursor.position === this.#frame.end) this.#leave();
      if (this.#frames.length === 0 && this.#cursor.position === this.#cursor.sizeBytes) {
        return { skeleton: this.#skeleton.view(), windows: this.#windows };
      }
      if (this.#cursor.buffered < MAX_HEADER_BYTES) await this.#cursor.fill(MAX_HEADER_BYTES);
      // Almost every field is whole in the buffer; awaiting each would cost more than reading it.
      const pending = this.#field();
      if (pending !== undefined) await pending;
    }
  }

  #field(): Promise<void> | undefined {
    const tag = this.#varint('a field number');
    const number = Math.floor(tag / 8);
    const wireType = tag % 8;
    const rule = this.#frame.table.fields.get(number);
    if (number === 0 || number > 0x1fffffff) throw this.#invalid(`the impossible field number ${number}`);
    if (number === WINDOW_FIELD && this.#frame.table.typeName === 'TensorProto')
      throw this.#invalid('a reserved field');
    if (rule !== undefined && wireType !== rule.wireType && !(wireType === WIRE_BYTES && rule.packedElementBytes > 0)) {
      throw this.#invalid(`wire type ${wireType} where ${rule.name} is expected`);
    }
    if (this.#frames.length === 0 && number === 1) this.#looksLikeModel = true;
    this.#count('fields', 1, this.#limits.maxFields);
    const name = rule?.name ?? `field ${number}`;
    if (wireType === WIRE_BYTES) return this.#lengthDelimited(tag, name, rule);
    this.#skeleton.appendVarint(tag);
    this.#scalar(wireType, name);
    return undefined;
  }

  #scalar(wireType: number, name: string): void {
    if (wireType === WIRE_VARINT) {
      this.#copyVarint(name);
      return;
    }
    const bytes = wireType === WIRE_FIXED64 ? 8 : wireType === WIRE_FIXED32 ? 4 : 0;
    // Groups are the two remaining wire types; ONNX has never used them.
    if (bytes === 0) throw this.#invalid(`the unknown wire type ${wireType}`);
    this.#checkFits(bytes, name);
    this.#skeleton.append(this.#cursor.take(bytes));
  }

  #lengthDelimited(tag: number, name: string, rule: FieldRule | undefined): Promise<void> | undefined {
    const length = this.#varint(`the length of ${name}`);
    // A message that is cut off is entered all the same, to say what in it is.
    this.#checkFits(length, name, rule?.message != null);
    if (rule?.message) this.#enter(tag, length, name, rule.message);
    else if (rule?.bulk && length >= WINDOW_MIN_BYTES) this.#leaveInFile(name, length);
    else {
      if (rule?.isName && length > this.#limits.maxNameBytes) throw this.#nameTooLong(name, length);
      const elementBytes = rule?.packedElementBytes ?? 0;
      if (elementBytes > 0) this.#count('fields', Math.floor(length / elementBytes), this.#limits.maxFields);
      this.#skeleton.appendVarint(tag);
      this.#skeleton.appendVarint(length);
      if (length > this.#cursor.buffered) return this.#copyUnbuffered(name, length);
      this.#skeleton.append(this.#cursor.take(length));
    }
    return undefined;
  }

  async #copyUnbuffered(name: string, length: number): Promise<void> {
    for (let rest = length; rest > 0; ) {
      await this.#cursor.fill(1);
      const piece = this.#cursor.take(rest);
      if (piece.byteLength === 0) throw this.#truncated(name);
      this.#skeleton.append(piece);
      rest -= piece.byteLength;
    }
  }

  #leaveInFile(name: string, length: number): void {
    this.#skeleton.appendVarint(WINDOW_FIELD * 8 + WIRE_VARINT);
    this.#skeleton.appendVarint(this.#windows.length);
    this.#windows.push({ field: name, offset: this.#cursor.position, byteLength: length });
    this.#cursor.skip(length);
  }

  #enter(tag: number, length: number, fieldName: string, table: MessageTable): void {
    if (this.#frames.length >= this.#limits.maxMessageDepth) {
      throw new TritforgeError('MODEL_TOO_DEEP', `Messages are nested more than ${this.#limits.maxMessageDepth} deep`, {
        field: this.#path(),
        remediation: 'Export the model with fewer subgraphs inside subgraphs.',
      });
    }
    this.#count('messages', 1, this.#limits.maxMessages);
    if (table.typeName === 'NodeProto') this.#count('NodeProto', 1, this.#limits.maxNodes);
    if (table.typeName === 'TensorProto') this.#count('TensorProto', 1, this.#limits.maxTensors);
    this.#skeleton.appendVarint(tag);
    this.#frames.push(this.#frame);
    const lengthAt = this.#skeleton.appendPaddedLength();
    this.#frame = { table, fieldName, end: this.#cursor.position + length, lengthAt };
  }

  #leave(): void {
    this.#skeleton.patchLength(this.#frame.lengthAt);
    this.#frame = this.#frames.pop()!;
  }

  /** Reads a varint of up to 53 bits. */
  #varint(what: string): number {
    let value = 0;
    let scale = 1;
    for (let n = 0; n < 8; n++) {
      const byte = this.#nextByte(what);
      value += (byte & 127) * scale;
      if (byte < 128) {
        if (value > Number.MAX_SAFE_INTEGER) break;
        return value;
      }
      scale *= 128;
    }
    throw this.#invalid(`a number that is too large for ${what}`);
  }

  #copyVarint(name: string): void {
    for (let n = 0; n < 10; n++) {
      const byte = this.#nextByte(name);
      this.#skeleton.appendByte(byte);
      if (byte < 128) return;
    }
    throw this.#invalid(`a number of more than ten bytes in ${name}`);
  }

  #nextByte(what: string): number {
    if (this.#cursor.position >= this.#frame.end) throw this.#overrun(what);
    const byte = this.#cursor.byte();
    if (byte < 0) throw this.#truncated(what);
    return byte;
  }

  #checkFits(length: number, name: string, isMessage = false): void {
    const end = this.#cursor.position + length;
    if (end > this.#frame.end) throw this.#overrun(name);
    if (end > this.#cursor.sizeBytes && !isMessage) throw this.#truncated(name);
  }

  #count(what: Counted, by: number, limit: number): void {
    this.#counts[what] += by;
    if (this.#counts[what] <= limit) return;
    const code = what === 'NodeProto' ? 'MODEL_TOO_MANY_NODES' : 'MODEL_TOO_COMPLEX';
    const noun = what === 'NodeProto' ? 'nodes' : what === 'TensorProto' ? 'tensors' : what;
    throw new TritforgeError(code, `The model has more than ${limit} ${noun}`, { remediation: 'Split the model.' });
  }

  #nameTooLong(name: string, length: number): TritforgeError {
    const message = `${this.#path()} has a ${name} of ${length} bytes; the limit is ${this.#limits.maxNameBytes}`;
    return new TritforgeError('MODEL_TOO_COMPLEX', message, { remediation: 'Use shorter names.' });
  }

  #path(): string {
    return [...this.#frames.slice(1), this.#frame].map((frame) => frame.fieldName).join('.');
  }

  #overrun(what: string): TritforgeError {
    return this.#invalid(`${what} beyond the end of its message`);
  }

  #truncated(what: string): TritforgeError {
    if (!this.#looksLikeModel) return notOnnx(`it ends at byte ${this.#cursor.sizeBytes} inside something else`);
    const size = this.#cursor.sizeBytes;
    return new TritforgeError('MODEL_TRUNCATED', `The file ends at byte ${size}, inside ${what} of ${this.#path()}`, {
      field: this.#path(),
      remediation: 'The upload or copy was cut off; send the whole file.',
    });
  }

  #invalid(found: string): TritforgeError {
    if (!this.#looksLikeModel) return notOnnx(`it has ${found} at byte ${this.#cursor.position}`);
    const message = `The file has ${found} at byte ${this.#cursor.position}, in ${this.#path()}`;
    return new TritforgeError('MODEL_INVALID', message, {
      field: this.#path(),
      remediation: 'The file is damaged; export or copy it again.',
    });
  }
}

/** Says why a file is no model at all. */
export function notOnnx(why: string): TritforgeError {
  return new TritforgeError('MODEL_NOT_ONNX', `The file is not an ONNX model: ${why}`, {
    remediation: 'Send the .onnx file itself, not an archive, a link or a checkpoint of another framework.',
  });
}
