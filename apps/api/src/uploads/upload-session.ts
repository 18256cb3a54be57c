import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { TritforgeError } from '@tritforge/contracts';
import type { BlobStorage, NewFile, StagedBlob } from '@tritforge/store';

/** What one request has brought so far. Nothing of it outlives `close`, except what a repository has published. */
export class UploadSession {
  /** Aborts when the client goes away. */
  readonly signal: AbortSignal;
  readonly #blobs: BlobStorage;
  readonly #scratchDir: string;
  readonly #staged: StagedBlob[] = [];
  readonly #folders: string[] = [];

  constructor(blobs: BlobStorage, scratchDir: string, signal: AbortSignal) {
    this.#blobs = blobs;
    this.#scratchDir = scratchDir;
    this.signal = signal;
  }

  /** Streams content to the staging area. @throws TritforgeError as `BlobStorage.stage`, or what the stream fails with */
  async stage(content: Readable): Promise<StagedBlob> {
    try {
      const blob = await this.#blobs.stage(content, { signal: this.signal });
      this.#staged.push(blob);
      return blob;
    } catch (error) {
      // The source knows best why it failed: its size, its pace or its digest.
      throw content.errored instanceof TritforgeError ? content.errored : error;
    }
  }

  /** Lays staged files into a folder of their own under their names, without copying. Returns their paths in order. */
  async layOut(files: readonly NewFile[]): Promise<string[]> {
    return this.#fill(files.map(({ name, blob }) => ({ name, write: (path) => blob.linkTo(path) })));
  }

  /** Lays published files into a folder of their own under their names, without copying. Returns their paths in order. */
  async layOutPublished(files: readonly { readonly name: string; readonly digest: string }[]): Promise<string[]> {
    return this.#fill(
      files.map(({ name, digest }) => ({ name, write: (path) => this.#blobs.materialize(digest, path) })),
    );
  }

  async #fill(files: readonly { name: string; write: (path: string) => Promise<void> }[]): Promise<string[]> {
    await mkdir(this.#scratchDir, { recursive: true });
    const folder = await mkdtemp(join(this.#scratchDir, 'upload-'));
    this.#folders.push(folder);
    const paths: string[] = [];
    for (const { name, write } of files) {
      const path = join(folder, name);
      await mkdir(dirname(path), { recursive: true });
      await write(path);
      paths.push(path);
    }
    return paths;
  }

  /** Discards what was not published and removes the folders. */
  async close(): Promise<void> {
    const discarded = await Promise.allSettled(this.#staged.map((blob) => blob.discard()));
    const removed = await Promise.allSettled(
      this.#folders.map((folder) => rm(folder, { recursive: true, force: true })),
    );
    const failure = [...discarded, ...removed].find(({ status }) => status === 'rejected');
    if (failure?.status === 'rejected') throw failure.reason;
  }
}
