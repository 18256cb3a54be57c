import { createHash } from 'node:crypto';
import type { StagedBlob } from '../blobs/blob-storage.js';
import { storableText } from '../database.js';

/** A file of a model, dataset or artifact. A model's .onnx file comes first, then its external data. */
export interface NewFile {
  /** For external data the name that the model refers to it by. */
  readonly name: string;
  readonly blob: StagedBlob;
  /** Address of the object that it was read from; none for what was sent. */
  readonly source?: string | undefined;
}

/** A file as rows keep it. */
export interface FileRow {
  readonly position: number;
  readonly name: string;
  readonly sizeBytes: bigint;
  readonly digest: string;
}

/** A file as resources show it. */
export interface StoredFile {
  name: string;
  sizeBytes: number;
  digest: string;
}

/** Tables are read one after the other: what is deleted meanwhile has lost parts, and is not there any more. */
export function isWhole({ files }: { readonly files: readonly unknown[] }): boolean {
  return files.length > 0;
}

/** Rows of the files, in their order. */
export function toFileRows(files: readonly NewFile[]): FileRow[] {
  return files.map(({ name, blob }, position) => ({
    position,
    name: storableText(name),
    sizeBytes: BigInt(blob.sizeBytes),
    digest: blob.digest,
  }));
}

/** The reverse of {@link toFileRows}. */
export function toStoredFiles(rows: readonly FileRow[]): StoredFile[] {
  return rows.map(({ name, sizeBytes, digest }) => ({ name, sizeBytes: Number(sizeBytes), digest }));
}

/** Bytes of all files together. */
export function totalBytes(files: readonly NewFile[]): bigint {
  return files.reduce((sum, { blob }) => sum + BigInt(blob.sizeBytes), 0n);
}

/** One digest for a list of values, equal for equal values. Object keys count in any order. */
export function contentKey(value: unknown): string {
  const text = JSON.stringify(value, (_, part: unknown) =>
    part !== null && typeof part === 'object' && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
  return `sha256:${createHash('sha256').update(text).digest('hex')}`;
}
