import { byteLengthOfData, type TensorBytes } from '../../ir/index.js';
import {
  type MessageTable,
  MODEL_TABLE,
  WINDOW_FIELD,
  WIRE_BYTES,
  WIRE_FIXED32,
  WIRE_FIXED64,
  WIRE_VARINT,
} from '../wire/message-table.js';

/** Consecutive content of a file: bytes, or a tensor's data wherever it is. */
export type FilePart = Uint8Array | TensorBytes;

const RAW_DATA_TAG = 9 * 8 + WIRE_BYTES;

/**
 * The reverse of the skim: turns an encoded model whose large tensors are `window` fields into the parts of the real
 * file, in order. Lengths of enclosing messages are adjusted; tensor bytes are referred to, never copied.
 */
export function expand(
  skeleton: Uint8Array,
  payloads: readonly TensorBytes[],
): { parts: FilePart[]; sizeBytes: number } {
  const sizes = new Map<number, number>();
  const sizeBytes = measure({ bytes: skeleton, payloads, sizes }, MODEL_TABLE, 0, skeleton.byteLength);
  const parts: FilePart[] = [];
  emit({ bytes: skeleton, payloads, sizes }, MODEL_TABLE, 0, skeleton.byteLength, parts);
  return { parts, sizeBytes };
}

interface Context {
  readonly bytes: Uint8Array;
  readonly payloads: readonly TensorBytes[];
  /** Size that a message has in the file by the offset of its content, for messages that hold payloads. */
  readonly sizes: Map<number, number>;
}

/** A field at its place in the skeleton. */
interface Field {
  readonly tag: number;
  readonly start: number;
  readonly contentStart: number;
  readonly end: number;
  /** Index of the payload that the field stands for; -1 for ordinary fields. */
  readonly payload: number;
  /** Set when a tensor may lie inside. */
  readonly message: MessageTable | null;
}

function measure(context: Context, table: MessageTable, start: number, end: number): number {
  let size = 0;
  let changed = false;
  for (const field of fieldsOf(context.bytes, table, start, end)) {
    if (field.payload >= 0) {
      changed = true;
      const length = byteLengthOfData(context.payloads[field.payload]!);
      size += varint(RAW_DATA_TAG).byteLength + varint(length).byteLength + length;
    } else if (field.message !== null) {
      const inner = measure(context, field.message, field.contentStart, field.end);
      changed ||= context.sizes.has(field.contentStart);
      size += varint(field.tag).byteLength + varint(inner).byteLength + inner;
    } else size += field.end - field.start;
  }
  if (changed) context.sizes.set(start, size);
  return size;
}

function emit(context: Context, table: MessageTable, start: number, end: number, parts: FilePart[]): void {
  let copyFrom = start;
  for (const field of fieldsOf(context.bytes, table, start, end)) {
    const inner = field.message === null ? undefined : context.sizes.get(field.contentStart);
    if (field.payload < 0 && inner === undefined) continue;
    if (field.start > copyFrom) parts.push(context.bytes.subarray(copyFrom, field.start));
    copyFrom = field.end;
    if (field.payload >= 0) {
      const payload = context.payloads[field.payload]!;
      parts.push(varint(RAW_DATA_TAG), varint(byteLengthOfData(payload)), payload);
    } else {
      parts.push(varint(field.tag), varint(inner!));
      emit(context, field.message!, field.contentStart, field.end, parts);
    }
  }
  if (end > copyFrom) parts.push(context.bytes.subarray(copyFrom, end));
}

/** Iterates over the fields of a message that our own encoder wrote. */
function* fieldsOf(bytes: Uint8Array, table: MessageTable, start: number, end: number): Generator<Field> {
  for (let at = start; at < end; ) {
    const fieldStart = at;
    const tag = readVarint(bytes, at);
    at = tag.end;
    const number = Math.floor(tag.value / 8);
    let payload = -1;
    let message: MessageTable | null = null;
    let contentStart = at;
    switch (tag.value % 8) {
      case WIRE_VARINT: {
        const value = readVarint(bytes, at);
        if (number === WINDOW_FIELD && table.typeName === 'TensorProto') payload = value.value;
        at = value.end;
        break;
      }
      case WIRE_FIXED64:
        at += 8;
        break;
      case WIRE_FIXED32:
        at += 4;
        break;
      default: {
        const length = readVarint(bytes, at);
        contentStart = length.end;
        at = length.end + length.value;
        const nested = table.fields.get(number)?.message;
        message = nested?.holdsTensors ? nested : null;
      }
    }
    yield { tag: tag.value, start: fieldStart, contentStart, end: at, payload, message };
  }
}

function readVarint(bytes: Uint8Array, at: number): { value: number; end: number } {
  let value = 0;
  let scale = 1;
  for (let end = at; ; scale *= 128) {
    const byte = bytes[end++]!;
    value += (byte & 127) * scale;
    if (byte < 128) return { value, end };
  }
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  bytes.push(rest);
  return Uint8Array.from(bytes);
}
