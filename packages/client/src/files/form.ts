import { stat } from 'node:fs/promises';
import { basename, dirname, relative, resolve, sep } from 'node:path';
import type { Transport } from '../http/transport.js';
import type { PostOptions } from '../options.js';
import { BucketAway, createDirectUpload, discardDirectUpload, sendToBucket } from './direct-upload.js';
import { multipartBody, type Part } from './multipart-body.js';
import { createUpload, discardUpload, sendContent } from './resumable-upload.js';
import type { SendOptions, SentFile } from './sent-file.js';
import type { DatasetFile, ModelFiles, NamedFile } from './sources.js';

const RESUME_FROM_BYTES = 64 * 2 ** 20;

/** What calls take that send files. */
type PostFiles = Pick<PostOptions, 'signal' | 'idempotencyKey' | 'onUploadProgress'>;
/** Deletes what was sent ahead. */
type Discard = () => Promise<void>;

/** Sends files in forms. Memory stays bounded: they are read while they are sent. */
export class FileSender {
  readonly #transport: Transport;
  readonly #resumeFromBytes: number;
  /** Until the service or its bucket says otherwise. */
  #goesToBucket = true;

  constructor(transport: Transport, resumeFromBytes: number = RESUME_FROM_BYTES) {
    this.#transport = transport;
    this.#resumeFromBytes = resumeFromBytes;
  }

  /**
   * Sends a form by POST. Large files go ahead of it, straight to the bucket of the service where that offers it, else as resumable uploads;
   * the form then names them, and they go away when it has been answered.
   * @returns the JSON of the answer
   * @throws the error of the file system when a file cannot be read, and as {@link Transport.send}
   */
  async post<T>(path: string, parts: readonly FormPart[], call: PostFiles): Promise<T> {
    const { signal, idempotencyKey } = call;
    const sent: Discard[] = [];
    try {
      const form: Part[] = [];
      for (const { part, value } of parts) {
        const content = typeof value === 'string' ? value : await this.#contentOf(value, sent, call);
        form.push({ name: part, content });
      }
      return await this.#transport.json({ method: 'POST', path, body: multipartBody(form), signal, idempotencyKey });
    } finally {
      // What this misses goes by itself after a day.
      await Promise.allSettled(sent.map((discard) => discard()));
    }
  }

  /** @param sent learns of an upload as soon as there is one */
  async #contentOf(
    { path, name }: NamedFile,
    sent: Discard[],
    { signal, onUploadProgress }: PostFiles,
  ): Promise<Part['content']> {
    const { size: sizeBytes } = await stat(path);
    if (sizeBytes < this.#resumeFromBytes) return { path, fileName: name, sizeBytes };
    const onProgress = (sentBytes: number) => onUploadProgress?.({ fileName: name, sentBytes, sizeBytes });
    const [file, options] = [
      { path, sizeBytes },
      { signal, onProgress },
    ];
    const id = (await this.#toBucket(file, name, sent, options)) ?? (await this.#toService(file, name, sent, options));
    return `upload:${id}`;
  }

  /** @returns the id of the upload; null where there is no way to a bucket */
  async #toBucket(file: SentFile, name: string, sent: Discard[], options: SendOptions): Promise<string | null> {
    if (!this.#goesToBucket) return null;
    const upload = await createDirectUpload(this.#transport, file.sizeBytes, name, options.signal);
    if (upload !== null) {
      sent.push(() => discardDirectUpload(this.#transport, upload.id));
      try {
        await sendToBucket(this.#transport, upload, file, options);
        return upload.id;
      } catch (error) {
        if (!(error instanceof BucketAway)) throw error;
      }
    }
    this.#goesToBucket = false;
    return null;
  }

  async #toService(file: SentFile, name: string, sent: Discard[], options: SendOptions): Promise<string> {
    const id = await createUpload(this.#transport, file.sizeBytes, name, options.signal);
    sent.push(() => discardUpload(this.#transport, id));
    await sendContent(this.#transport, id, file, options);
    return id;
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
