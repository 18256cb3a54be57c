import path from 'node:path';

/**
 * The folder of what the service stores:
 *
 *     <blobDir>/staging/<name>/    what one open storage has not published yet
 *     <blobDir>/uploads/<id>       what arrives in pieces (see uploads/upload-files.ts)
 *     <blobDir>/sha256/ab/abcdef…  content that the filesystem driver has published, read-only, named by its digest
 *
 * All are on one file system, so that publishing is a rename. The S3 driver publishes to `<prefix>sha256/ab/abcdef…` of a bucket instead, and
 * what clients send straight to the bucket arrives at `<prefix>uploads/<id>` of it.
 */
export function stagingRootOf(blobDir: string): string {
  return path.resolve(blobDir, 'staging');
}

/** Where all published content lies, below the folder or the prefix. */
export const CONTENT_ROOT = 'sha256';
/** Where all that arrives in pieces lies, below the folder or the prefix. */
export const UPLOADS_ROOT = 'uploads';

const DIGEST = /^sha256:([0-9a-f]{64})$/;

/** The hexadecimal digits of a digest. @throws RangeError when it is malformed */
export function hexOf(digest: string): string {
  const hex = DIGEST.exec(digest)?.[1];
  if (hex === undefined) throw new RangeError(`${JSON.stringify(digest)} is not a digest`);
  return hex;
}

/** Where content with a digest lies, below the folder or the prefix. @throws RangeError when the digest is malformed */
export function contentPathOf(digest: string): string {
  const hex = hexOf(digest);
  return `${CONTENT_ROOT}/${hex.slice(0, 2)}/${hex}`;
}
