import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { TritforgeError } from '@tritforge/contracts';
import { ModelProtoSchema } from './wire/onnx_pb.js';

/** Building blocks for tests of reading and writing: files as bytes, and how a reading ended. */

/** An encoded model with IR version 8, opset 17 and an output `y` unless the parts say otherwise. */
export function encodeModel(parts: MessageInitShape<typeof ModelProtoSchema>): Uint8Array {
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, { irVersion: 8n, opsetImport: [{ domain: '', version: 17n }], ...parts }),
  );
}

/** Writes the bytes as `model.onnx` in the folder. */
export function saveModel(folder: string, bytes: Uint8Array): string {
  const path = join(folder, 'model.onnx');
  writeFileSync(path, bytes);
  return path;
}

/** The code of the TritforgeError that the promise ends with; 'ok' when it succeeds. Other errors pass through. */
export async function outcomeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'ok';
  } catch (error) {
    if (error instanceof TritforgeError) return error.code;
    throw error;
  }
}

/** A varint as protobuf writes it. */
export function varintBytes(value: number | bigint): number[] {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  bytes.push(Number(rest));
  return bytes;
}

/** A length-delimited field: tag, length, content. */
export function bytesField(number: number, content: Iterable<number>): number[] {
  const bytes = [...content];
  return [...varintBytes(number * 8 + 2), ...varintBytes(bytes.length), ...bytes];
}

/** A varint field: tag, value. */
export function varintField(number: number, value: number | bigint): number[] {
  return [...varintBytes(number * 8), ...varintBytes(value)];
}
