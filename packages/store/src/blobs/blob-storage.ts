import type { Readable } from 'node:stream';

/** Limits of one upload. */
export interface StageOptions {
  /** Largest accepted size in bytes; no limit by default. */
  readonly maxBytes?: number;
  /** Aborting it ends the upload; nothing stays behind. */
  readonly signal?: AbortSignal;
}

/**
 * Content that has arrived, is hashed and synced to disk, but that nothing can refer to yet. Hand it to a repository,
 * which publishes it in the transaction that writes its row, and call `discard` in a `finally`: it does nothing once
 * the content is published.
 */
export interface StagedBlob {
  /** `sha256:<hex>`. */
  readonly digest: string;
  readonly sizeBytes: number;
  /** A read-only file with the content, there until `publish` or `discard`. */
  readonly localPath: string;
  /** Gives the content a second name, such as the one that a model refers to its external data by (see `materialize`). */
  linkTo(targetPath: string): Promise<void>;
  /**
   * Does ahead what takes long of `publish` and needs no lock: sends the content to a storage that is far away. Does nothing on the
   * file system, nor when the content is there already. What is sent and never published belongs to nobody and is swept.
   *
   * @throws TritforgeError SERVICE_UNAVAILABLE, STORAGE_FULL
   */
  send(): Promise<void>;
  /**
   * Moves the content under its digest, atomically; does nothing when it is there already. Repositories call it while
   * they hold the lock of the digest: without that lock a concurrent delete may take the content away again.
   *
   * @throws TritforgeError SERVICE_UNAVAILABLE, STORAGE_FULL
   */
  publish(): Promise<void>;
  /** Removes the staged content unless it is published. May be called twice. */
  discard(): Promise<void>;
}

/** A part of the content; both ends are inclusive byte offsets, as in an HTTP Range. */
export interface BlobRange {
  readonly start?: number;
  readonly end?: number;
}

/**
 * Where bytes live, addressed by their digest. The content of a digest never changes. Every method of a storage that is reached over a
 * network throws TritforgeError SERVICE_UNAVAILABLE when it cannot be reached, refuses or has no such bucket.
 */
export interface BlobStorage {
  /**
   * Streams `source` to a staging area with bounded memory, hashing on the way.
   *
   * @throws TritforgeError UPLOAD_TOO_LARGE, UPLOAD_EMPTY, UPLOAD_INCOMPLETE (the source failed or the signal aborted),
   *   STORAGE_FULL. In each case nothing stays behind.
   */
  stage(source: Readable, options?: StageOptions): Promise<StagedBlob>;
  /**
   * Takes over a local file: moves it to the staging area (or copies it from another file system) and hashes it.
   *
   * @throws TritforgeError UPLOAD_EMPTY, STORAGE_FULL.
   */
  putFile(path: string, options?: StageOptions): Promise<StagedBlob>;
  /** The size of published content, or null when there is none with this digest. */
  stat(digest: string): Promise<{ sizeBytes: number } | null>;
  /** Reads published content. The stream fails with ENOENT when there is none with this digest. */
  open(digest: string, range?: BlobRange): Readable;
  /**
   * Makes a read-only file with the content at `targetPath`, which must not exist: a hard link where the file system
   * allows it, else a copy. Write to such a file never; it may be the stored content itself. Content that comes over a network is
   * compared with its digest, and leaves no file when it is another.
   *
   * @throws TritforgeError CONTENT_CORRUPT, STORAGE_FULL; an Error with the code ENOENT when there is no such content.
   */
  materialize(digest: string, targetPath: string): Promise<void>;
  /** Deletes published content; does nothing when there is none. Only for callers that hold the lock of the digest. */
  delete(digest: string): Promise<void>;
  /** Digests of published content, in no order. Content that was sent lately may be left out: its row may be on its way. */
  list(): AsyncIterable<string>;
  /** Checks that content can be written and read. @throws when it cannot. */
  ping(): Promise<void>;
  /** Ends the upkeep of the staging area and discards what was staged and never published. */
  close(): Promise<void>;
}
