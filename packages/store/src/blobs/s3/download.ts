import { createHash } from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import { TritforgeError } from '@tritforge/contracts';
import { CONTENT_MODE } from '../staging.js';
import { rethrowStorageError } from '../storage-errors.js';
import type { BucketObject } from './bucket-object.js';
import { readObject } from './read-object.js';

/**
 * Writes an object to a new read-only file. No file stays where it fails, nor where the content has another digest.
 * @throws TritforgeError CONTENT_CORRUPT, SERVICE_UNAVAILABLE, STORAGE_FULL; an Error with the code ENOENT when there is no such object, EEXIST
 *   when there is a file already
 */
export async function download(object: BucketObject, digest: string, targetPath: string): Promise<void> {
  const file = await open(targetPath, 'wx', 0o600);
  try {
    const hash = createHash('sha256');
    for await (const chunk of readObject(object, {}, new AbortController().signal)) {
      hash.update(chunk);
      await file.writeFile(chunk);
    }
    if (`sha256:${hash.digest('hex')}` !== digest) throw corrupt(object, digest);
    await file.chmod(CONTENT_MODE);
  } catch (error) {
    await rm(targetPath, { force: true });
    rethrowStorageError(error);
  } finally {
    await file.close();
  }
}

function corrupt({ bucket, key }: BucketObject, digest: string): TritforgeError {
  return new TritforgeError(
    'CONTENT_CORRUPT',
    `The object ${key} of the bucket ${bucket} does not have the digest ${digest}.`,
    {
      remediation: 'The operator can delete the object; then send the file again.',
    },
  );
}
