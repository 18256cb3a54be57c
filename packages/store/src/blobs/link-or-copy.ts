import { constants } from 'node:fs';
import { chmod, copyFile, link } from 'node:fs/promises';
import { CONTENT_MODE } from './staging.js';
import { rethrowStorageError } from './storage-errors.js';

/** Errors of a hard link to another file system, or where links are not allowed. */
const NO_LINKS = new Set(['EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP', 'ENOSYS']);

/** Gives a read-only file a second name by a hard link; by a copy (sharing blocks where it can) where there can be none. */
export async function linkOrCopy(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if (!NO_LINKS.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
    await copyFile(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE).catch(rethrowStorageError);
    await chmod(to, CONTENT_MODE);
  }
}
