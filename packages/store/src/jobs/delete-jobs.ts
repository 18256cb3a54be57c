import { isTerminal, type JobState, TritforgeError } from '@tritforge/contracts';
import { deleteUnreferencedBlobs } from '../blobs/blob-references.js';
import type { BlobStorage } from '../blobs/blob-storage.js';
import type { Database } from '../database.js';
import { givePlaces } from '../events/event-log.js';
import type { PrismaClient } from '../generated/client.js';
import { type Reach, within } from '../repositories/reach.js';
import { writeLastMessages } from '../webhooks/deliveries.js';
import { deleteJobRows } from './past-runs.js';
import type { QueueOutlook } from './queue-outlook.js';

/** What jobs are deleted from. */
export interface JobPlaces {
  readonly db: PrismaClient;
  readonly blobs: BlobStorage;
  readonly queueOutlook: QueueOutlook;
}

/**
 * Deletes a job that has ended with its artifacts, report and events, and each file that nothing else refers to.
 * @throws TritforgeError JOB_NOT_FOUND, JOB_NOT_ENDED
 */
export async function deleteJob({ db, blobs, queueOutlook }: JobPlaces, reach: Reach, id: string): Promise<void> {
  await lockEnded(db, reach, id);
  await givePlaces(db);
  const digests = await db.$transaction(async (tx) => {
    await lockEnded(tx, reach, id);
    return removeJobs(tx, queueOutlook, [id]);
  });
  await deleteUnreferencedBlobs(db, blobs, digests);
}

/**
 * Deletes jobs that have ended, within a transaction that holds the locks of their rows; their events have places in the log. What webhooks
 * are to be told of them is written down before it goes.
 * @returns the digests of their files, for `deleteUnreferencedBlobs` behind the transaction
 */
export async function removeJobs(tx: Database, queueOutlook: QueueOutlook, ids: readonly string[]): Promise<string[]> {
  if (ids.length === 0) return [];
  await writeLastMessages(tx, queueOutlook, ids);
  const where = { artifact: { jobId: { in: [...ids] } } };
  const files = await tx.artifactFile.findMany({ where, select: { digest: true } });
  await deleteJobRows(tx, ids);
  return files.map(({ digest }) => digest);
}

/** Nothing but a delete changes a job that has ended. @throws TritforgeError JOB_NOT_FOUND, JOB_NOT_ENDED */
async function lockEnded(db: Database, reach: Reach, id: string): Promise<void> {
  const [job] = await db.$queryRaw<{ state: JobState }[]>`
    SELECT state FROM jobs WHERE id = ${id} AND ${within(reach)} FOR UPDATE`;
  if (job === undefined) throw new TritforgeError('JOB_NOT_FOUND', `There is no job ${id}.`);
  if (isTerminal(job.state)) return;
  throw new TritforgeError('JOB_NOT_ENDED', `The job ${id} is ${job.state}.`, {
    remediation: 'Cancel it first by POST /jobs/{id}/cancel, or wait until it has ended.',
  });
}
