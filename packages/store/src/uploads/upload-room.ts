import { TritforgeError } from '@tritforge/contracts';
import type { Database } from '../database.js';
import { reserveStorage } from '../limits/quotas.js';

/** What a project may have at a time. Finished uploads count until they expire or are deleted: they take the same space. */
export interface UploadLimits {
  readonly maxUploads: number;
  readonly maxTotalBytes: number;
  readonly lifetimeSeconds: number;
}

/** When an upload expires that begins now. */
export function endOf({ lifetimeSeconds }: UploadLimits): Date {
  return new Date(Date.now() + lifetimeSeconds * 1000);
}

/**
 * Makes sure that a project has room for one more upload, within the transaction that writes its row; those of one project take turns. Bytes
 * count as announced.
 * @throws TritforgeError QUOTA_EXCEEDED
 */
export async function takeRoom(
  tx: Database,
  projectId: string,
  sizeBytes: number,
  { maxUploads, maxTotalBytes }: UploadLimits,
): Promise<void> {
  await tx.$queryRaw`SELECT 1 FROM projects WHERE id = ${projectId} FOR UPDATE`;
  const { _count, _sum } = await tx.upload.aggregate({ where: { projectId }, _count: true, _sum: { sizeBytes: true } });
  const usedBytes = Number(_sum.sizeBytes ?? 0n);
  if (_count >= maxUploads || usedBytes + sizeBytes > maxTotalBytes) {
    throw new TritforgeError(
      'QUOTA_EXCEEDED',
      `The project has ${_count} of ${maxUploads} uploads with ${usedBytes} of ${maxTotalBytes} bytes, and this one has ${sizeBytes}`,
      { remediation: 'Delete uploads that were used or given up, or wait until they expire.' },
    );
  }
  await reserveStorage(tx, projectId, BigInt(sizeBytes));
}
