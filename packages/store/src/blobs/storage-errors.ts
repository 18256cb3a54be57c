import { TritforgeError } from '@tritforge/contracts';

/** Errors of the operating system that mean that there is no space: disk full, quota used up, file size limit. */
const NO_SPACE = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

/** The error for callers when storage fails: STORAGE_FULL where that is the reason, else the error itself. */
export function storageError(error: unknown): unknown {
  if (!NO_SPACE.has((error as NodeJS.ErrnoException).code ?? '')) return error;
  return new TritforgeError('STORAGE_FULL', 'The service has no space left to store the file.', {
    remediation: 'Delete models, datasets and jobs that are no longer needed, or ask the operator for more space.',
    cause: error,
  });
}

/** Passes an error of the file system on as what it means for callers. @throws always */
export function rethrowStorageError(error: unknown): never {
  throw storageError(error);
}

/** @throws TritforgeError UPLOAD_TOO_LARGE when `sizeBytes` is over the limit. */
export function checkSize(sizeBytes: number, maxBytes: number): void {
  if (sizeBytes <= maxBytes) return;
  throw new TritforgeError('UPLOAD_TOO_LARGE', `The file is larger than the limit of ${maxBytes} bytes.`, {
    remediation: 'Send a smaller file, or ask the operator to raise the limit.',
  });
}

/** @throws TritforgeError UPLOAD_EMPTY when there are no bytes. */
export function checkNotEmpty(sizeBytes: number): void {
  if (sizeBytes > 0) return;
  throw new TritforgeError('UPLOAD_EMPTY', 'The file has no bytes.', {
    remediation: 'Check the path of the file that is sent.',
  });
}
