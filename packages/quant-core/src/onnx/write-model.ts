import { copyFile, link, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { toBinary } from '@bufbuild/protobuf';
import { TritforgeError } from '@tritforge/contracts';
import type { Model, TensorBytes } from '../ir/index.js';
import { ModelProtoSchema } from './wire/onnx_pb.js';
import { AtomicFile, type WrittenFile } from './write/atomic-file.js';
import { expand, type FilePart } from './write/expand.js';
import { GraphWriter } from './write/graph-writer.js';
import { type ExternalPart, ExternalPayloads, InlinePayloads, ReferencedPayloads } from './write/payloads.js';

export type { WrittenFile } from './write/atomic-file.js';

/** Where {@link writeModel} puts tensor data. */
export interface WriteOptions {
  /**
   * `auto`: in the file, or in `<file>.data` beside it when the file would pass 2 GB, which protobuf cannot hold.
   * `never`: in the file. `always`: initializers of 1 KiB and more in `<file>.data`.
   * `by-reference`: for scratch copies. Initializers that lie in a file stay there and are referred to; a file outside
   * the folder is hard-linked into it. No weight is copied, and nothing is forced to the disk.
   */
  readonly externalData?: 'auto' | 'never' | 'always' | 'by-reference';
}

/** A protobuf message has at most this many bytes. */
const MAX_MESSAGE_BYTES = 2 ** 31 - 1;

/**
 * Writes a model. Tensor bytes go from where they are straight to the disk. The same model gives the same bytes. Each
 * file appears under its name only when it is complete, the data file first.
 *
 * @returns the files that were written, the model first
 * @throws TritforgeError MODEL_TENSOR_TOO_LARGE when `never` would need more than 2 GB
 * @throws Error when a tensor lies in the very file that would be replaced
 * @example const { files } = await writeModel(model, 'out/model.onnx'); files[0].digest
 */
export async function writeModel(
  model: Model,
  path: string,
  options: WriteOptions = {},
): Promise<{ files: WrittenFile[] }> {
  const target = resolve(path);
  const mode = options.externalData ?? 'auto';
  if (mode === 'by-reference') return writeByReference(model, target);
  if (mode === 'always') return writeExternal(model, target, true);
  const payloads = new InlinePayloads();
  const { parts, sizeBytes } = encode(model, new GraphWriter(payloads), payloads);
  if (sizeBytes <= MAX_MESSAGE_BYTES) return { files: [await writeParts(parts, target, true)] };
  if (mode === 'auto') return writeExternal(model, target, true);
  throw new TritforgeError(
    'MODEL_TENSOR_TOO_LARGE',
    `The model takes ${sizeBytes} bytes, more than one file can hold`,
    {
      remediation: 'Allow external data.',
    },
  );
}

async function writeExternal(model: Model, target: string, durable: boolean): Promise<{ files: WrittenFile[] }> {
  const inline = new InlinePayloads();
  const external = new ExternalPayloads(`${basename(target)}.data`, inline);
  const { parts } = encode(model, new GraphWriter(external), inline);
  const files: WrittenFile[] = [];
  if (external.parts.length > 0) files.push(await writeData(external.parts, `${target}.data`, durable));
  files.unshift(await writeParts(parts, target, durable));
  return { files };
}

async function writeByReference(model: Model, target: string): Promise<{ files: WrittenFile[] }> {
  const folder = dirname(target);
  const inline = new InlinePayloads();
  const external = new ExternalPayloads(`${basename(target)}.data`, inline);
  // What is not in a file yet stays in the message while it fits.
  const inMemory = inlineBytesOf(model) <= MAX_MESSAGE_BYTES / 2 ? inline : external;
  const nameOf = (path: string, index: number) =>
    dirname(path) === folder ? basename(path) : `${basename(target)}.weights${index}`;
  const referenced = new ReferencedPayloads(nameOf, inMemory);
  const { parts } = encode(model, new GraphWriter(referenced), inline);
  for (const [source, name] of referenced.files) {
    refuseReplacing({ kind: 'file', path: source, offset: 0, byteLength: 0 }, target);
    await linkInto(source, join(folder, name));
  }
  const files: WrittenFile[] = [];
  if (external.parts.length > 0) files.push(await writeData(external.parts, `${target}.data`, false));
  files.unshift(await writeParts(parts, target, false));
  return { files };
}

function encode(model: Model, writer: GraphWriter, inline: InlinePayloads): { parts: FilePart[]; sizeBytes: number } {
  const skeleton = toBinary(ModelProtoSchema, writer.model(model));
  return expand(skeleton, inline.list);
}

/** Bytes of data in memory that a by-reference copy would have to hold itself. */
function inlineBytesOf(model: Model): number {
  const counted = new InlinePayloads();
  new GraphWriter(counted).model(model);
  return counted.list.reduce((sum, data) => sum + (data.kind === 'memory' ? data.bytes.byteLength : 0), 0);
}

async function writeParts(parts: readonly FilePart[], path: string, durable: boolean): Promise<WrittenFile> {
  for (const part of parts) if (!(part instanceof Uint8Array)) refuseReplacing(part, path);
  return writeAll(path, durable, async (file) => {
    for (const part of parts) await file.write(part);
  });
}

async function writeData(parts: readonly ExternalPart[], path: string, durable: boolean): Promise<WrittenFile> {
  for (const { data } of parts) refuseReplacing(data, path);
  return writeAll(path, durable, async (file) => {
    for (const { offset, data } of parts) {
      await file.padTo(offset);
      await file.write(data);
    }
  });
}

async function writeAll(
  path: string,
  durable: boolean,
  fill: (file: AtomicFile) => Promise<void>,
): Promise<WrittenFile> {
  const file = await AtomicFile.create(path);
  try {
    await fill(file);
    return await file.commit(durable);
  } catch (error) {
    await file.abandon();
    throw error;
  }
}

/** Later reads of the tensor would find other bytes at its place. */
function refuseReplacing(data: TensorBytes, path: string): void {
  if (data.kind === 'file' && data.path === path) throw new Error(`${path} holds tensors of the model to be written`);
}

/** Makes `source` available under `path` on the same disk without a copy, if the file system can. */
async function linkInto(source: string, path: string): Promise<void> {
  if (source === path) return;
  const [wanted, present] = await Promise.all([stat(source), stat(path).catch(() => null)]);
  if (present !== null && present.ino === wanted.ino && present.dev === wanted.dev) return;
  await rm(path, { force: true });
  await link(source, path).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EXDEV' && error.code !== 'EPERM') throw error;
    await copyFile(source, path);
  });
}
