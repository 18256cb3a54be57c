import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import path from 'node:path';

/**
 * The folder of the filesystem driver:
 *
 *     <blobDir>/sha256/ab/abcdef…     published content, read-only, named by its digest
 *     <blobDir>/staging/<name>/    what one open storage has not published yet
 *     <blobDir>/uploads/<id>       what arrives in pieces (see uploads/upload-files.ts)
 *
 * All are on one file system, so that publishing is a rename.
 */
export interface BlobLayout {
  readonly stagingRoot: string;
  /** The staging folder of this storage. */
  readonly stagingDir: string;
  readonly contentRoot: string;
  /** Where content with a digest lies. @throws RangeError when the digest is malformed. */
  pathOf(digest: string): string;
  /** A new name in the staging folder. */
  newStagingPath(): string;
}

const DIGEST = /^sha256:[0-9a-f]{64}$/;

/** Gives each caller a staging folder of its own, so that leftovers of the dead can be told from uploads that go on. */
export function blobLayout(blobDir: string): BlobLayout {
  const stagingRoot = path.resolve(blobDir, 'staging');
  const stagingDir = path.join(stagingRoot, `${hostname()}-${process.pid}-${randomBytes(4).toString('hex')}`);
  const contentRoot = path.resolve(blobDir, 'sha256');
  return {
    stagingRoot,
    stagingDir,
    contentRoot,
    pathOf: (digest) => {
      if (!DIGEST.test(digest)) throw new RangeError(`${JSON.stringify(digest)} is not a digest`);
      const hex = digest.slice('sha256:'.length);
      return path.join(contentRoot, hex.slice(0, 2), hex);
    },
    newStagingPath: () => path.join(stagingDir, randomBytes(12).toString('hex')),
  };
}
