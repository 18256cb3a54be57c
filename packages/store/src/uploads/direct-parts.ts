/** Whether parts are those of an upload. */
import { TritforgeError } from '@tritforge/contracts';
import type { SentPart } from '../blobs/s3/bucket-uploads.js';
import type { UploadPart } from '../blobs/s3/check-content.js';
import { type DirectRow, partCountOf } from './direct-row.js';

/** @throws TritforgeError UPLOAD_PARTS_INVALID where the upload takes no parts, or a number is none of it or comes twice */
export function requireParts(row: DirectRow, parts: readonly UploadPart[]): void {
  if (row.finishedAt !== null) throw invalid(`The upload ${row.id} is finished, and takes no parts any more`, 'parts');
  const count = partCountOf(row);
  const seen = new Set<number>();
  for (const [i, { number }] of parts.entries()) {
    const field = `parts.${i}.number`;
    if (number > count) throw invalid(`The upload ${row.id} has ${count} parts, and none is ${number}`, field);
    if (seen.has(number)) throw invalid(`Part ${number} comes twice`, field);
    seen.add(number);
  }
}

/** All parts in their order. @throws TritforgeError UPLOAD_PARTS_INVALID where some are missing too */
export function requireAllParts(row: DirectRow, parts: readonly SentPart[]): SentPart[] {
  requireParts(row, parts);
  const sorted = parts.toSorted((left, right) => left.number - right.number);
  const count = partCountOf(row);
  if (sorted.length === count) return sorted;
  const gap = sorted.findIndex(({ number }, i) => number !== i + 1);
  throw invalid(`Part ${(gap === -1 ? sorted.length : gap) + 1} of ${count} is missing`, 'parts');
}

/** @throws TritforgeError UPLOAD_INCOMPLETE, UPLOAD_TOO_LARGE where not as many bytes arrived as were announced */
export function requireSize({ id, sizeBytes }: DirectRow, arrivedBytes: number): void {
  if (BigInt(arrivedBytes) === sizeBytes) return;
  const code = BigInt(arrivedBytes) < sizeBytes ? 'UPLOAD_INCOMPLETE' : 'UPLOAD_TOO_LARGE';
  throw new TritforgeError(code, `${arrivedBytes} bytes of the upload ${id} arrived, and ${sizeBytes} were announced`, {
    field: 'sizeBytes',
    remediation: 'Check that the file has not changed meanwhile, and upload it anew.',
  });
}

const REFUSALS: ReadonlySet<string> = new Set(['DIGEST_MISMATCH', 'UPLOAD_INCOMPLETE', 'UPLOAD_TOO_LARGE']);

/** Whether an error says that what arrived is not what was announced. */
export function isRefusal(error: unknown): boolean {
  return error instanceof TritforgeError && REFUSALS.has(error.code);
}

function invalid(message: string, field: string): TritforgeError {
  return new TritforgeError('UPLOAD_PARTS_INVALID', message, {
    field,
    remediation: 'Name each part once, by its number from 1 to `parts` of the upload, before it is finished.',
  });
}
