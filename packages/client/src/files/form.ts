import { stat } from 'node:fs/promises';
import { basename, dirname, relative, resolve, sep } from 'node:path';
import type { Transport } from '../http/transport.js';
import type { CallOptions } from '../options.js';
import { multipartBody, type Part } from './multipart-body.js';
import { createUpload, discardUpload, sendContent } from './resumable-upload.js';
import type { DatasetFile, ModelFiles, NamedFile } from './sources.js';

const RESUME_FROM_BYTES = 64 * 2 ** 20;

/** Sends files in forms. Memory stays bounded: they are read while they are sent. */
export class FileSender {
  readonly #transport: Transport;
  readonly #resumeFromBytes: number;

  constructor(transport: Transport, resumeFromBytes: number = RESUME_FROM_BYTES) {
    this.#transport = transport;
    this.#resumeFromBytes = resumeFromBytes;
  }

  /**
   * Sends a form by POST. Large files go ahead of it as resumable uploads, which it then names and which go away when it has been
   * answered.
   * @returns the JSON of the answer
   * @throws the error of the file system when a file cannot be read, and as {@link Transport.send}
   */
  async post<T>(
    path: string,
    parts: readonly FormPart[],
    { signal, idempotencyKey }: CallOptions & { readonly idempotencyKey?: string | undefined },
  ): Promise<T> {
    const uploads: string[] = [];
    try {
      const form: Part[] = [];
      for (const { part, value } of parts) {
        const content = typeof value === 'string' ? value : await this.#contentOf(value, uploads, signal);
        form.push({ name: part, content });
      }
      return await this.#transport.json({ method: 'POST', path, body: multipartBody(form), signal, idempotencyKey });
    } finally {
      // What this misses goes by itself after a day.
      await Promise.allSettled(uploads.map((id) => discardUpload(this.#transport, id)));
    }
  }

  /** @param uploads gets the id of an upload as soon as there is one */
  async #contentOf(
    { path, name }: NamedFile,
    uploads: string[],
    signal: AbortSignal | undefined,
  ): Promise<Part['content']> {
    const { size: sizeBytes } = await stat(path);
    if (sizeBytes < this.#resumeFromBytes) return { path, fileName: name, sizeBytes };
    const id = await createUpload(this.#transport, sizeBytes, name, signal);
    uploads.push(id);
    await sendContent(this.#transport, id, { path, sizeBytes }, signal);
    return `upload:${id}`;
  }
}

/** A part of a form: text, or a file. */
export interface FormPart {
  readonly part: string;
  readonly value: string | NamedFile;
}

/** The files of a model as parts. */
export function modelParts({ path, data = [] }: ModelFiles): FormPart[] {
  const external = data.map((file) => ({
    part: 'data',
    value: typeof file === 'string' ? besideModel(file, path) : file,
  }));
  return [{ part: 'model', value: { path, name: basename(path) } }, ...external];
}

/** The file of a dataset as a part. */
export function datasetPart(part: string, { path }: DatasetFile): FormPart {
  return { part, value: { path, name: basename(path) } };
}

/** A value as a part of JSON. */
export function jsonPart(part: string, value: unknown): FormPart {
  return { part, value: JSON.stringify(value) };
}

/** Models refer to external data by paths from their own folder, with forward slashes. */
function besideModel(path: string, modelPath: string): NamedFile {
  return {
    path,
    name: relative(dirname(resolve(modelPath)), resolve(path))
      .split(sep)
      .join('/'),
  };
}
