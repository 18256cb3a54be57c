import type { Readable } from 'node:stream';
import { TritforgeError } from '@tritforge/contracts';
import type { UploadLimits, UploadRepository } from '@tritforge/store';
import { DataStore, Upload } from '@tus/server';
import { lookUp } from '../../http/lookup.js';

/** What of the protocol there is beside its core. */
export const TUS_EXTENSIONS: readonly string[] = ['creation', 'creation-with-upload', 'termination', 'expiration'];

/** The uploads of a project as tus sees them. What it throws is a TritforgeError, which tus hands to `onResponseError`. */
export class UploadDataStore extends DataStore {
  override extensions = [...TUS_EXTENSIONS];
  /** Why bytes could not be written. Tus makes an abortion of some of it. */
  writeFailure: unknown = null;
  readonly #uploads: UploadRepository;
  readonly #limits: UploadLimits;

  constructor(uploads: UploadRepository, limits: UploadLimits) {
    super();
    this.#uploads = uploads;
    this.#limits = limits;
  }

  /** @throws TritforgeError UPLOAD_EMPTY, QUOTA_EXCEEDED, STORAGE_FULL */
  override async create(upload: Upload): Promise<Upload> {
    const { id, size = 0, metadata = {} } = upload;
    if (size === 0) {
      throw new TritforgeError('UPLOAD_EMPTY', 'Upload-Length is 0', {
        field: 'upload-length',
        remediation: 'Check the path of the file that is sent.',
      });
    }
    await this.#uploads.create({ id, sizeBytes: size, metadata }, this.#limits);
    return upload;
  }

  /** @throws TritforgeError UPLOAD_NOT_FOUND */
  override async getUpload(id: string): Promise<Upload> {
    const known = await lookUp('upload', id, (sought) => this.#uploads.get(sought));
    return new Upload({
      id,
      size: known.sizeBytes,
      offset: known.offsetBytes,
      metadata: { ...known.metadata },
      // The end is kept; tus reckons it from the beginning, with the lifetime of today.
      creation_date: new Date(known.expiresAt.getTime() - this.getExpiration()).toISOString(),
    });
  }

  /** @throws TritforgeError STORAGE_FULL; what the content fails with */
  override async write(content: Readable, id: string, offset: number): Promise<number> {
    try {
      return await this.#uploads.append(id, offset, content);
    } catch (error) {
      this.writeFailure = error;
      throw error;
    }
  }

  /** @throws TritforgeError UPLOAD_NOT_FOUND */
  override async remove(id: string): Promise<void> {
    await this.#uploads.delete(id);
  }

  override getExpiration(): number {
    return this.#limits.lifetimeSeconds * 1000;
  }
}
