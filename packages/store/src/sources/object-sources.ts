import type { Readable } from 'node:stream';
import type { S3Connection } from '../blobs/s3/s3-config.js';
import { allowedSource, type SourcePlace } from './allowed-sources.js';

/** An object that stands for a file. */
export interface SourceFile {
  /** The last segment of its key. */
  readonly fileName: string;
  readonly sizeBytes: number;
  /** The object as it was when it was opened; fails with a TritforgeError when there is another one meanwhile. */
  readonly content: Readable;
}

/** Objects of buckets that clients may name in place of files. They are read with the credentials of the service. */
export interface ObjectSources {
  /**
   * @param url `s3://bucket/key`
   * @param field of the request that has the address, for errors
   * @throws TritforgeError SOURCE_NOT_ALLOWED, SOURCE_NOT_FOUND, SERVICE_UNAVAILABLE
   */
  open(url: string, field: string): Promise<SourceFile>;
  close(): Promise<void>;
}

/** Which objects may be named, and how they are reached. */
export interface SourcesConfig {
  readonly allowed: readonly SourcePlace[];
  /** Where the service itself stores files: whoever knows a digest must not read with it what belongs to others. */
  readonly forbidden: readonly SourcePlace[];
  readonly connection: S3Connection;
}

/** Connects when a source is opened; the SDK of S3 is loaded only then. */
export function openObjectSources({ allowed, forbidden, connection }: SourcesConfig): ObjectSources {
  const connect = async () => (await import('./source-reader.js')).createSourceReader(connection);
  let reader: ReturnType<typeof connect> | null = null;
  return {
    open: async (url, field) => {
      const address = allowedSource(url, allowed, forbidden, field);
      reader ??= connect();
      return (await reader).open(address, field);
    },
    close: async () => {
      (await reader)?.close();
    },
  };
}
