/**
 * Deletes what has expired, some at a time. Any number of workers may do so: each locks what it takes and leaves what another one has. A
 * job that has not ended is never deleted, nor what it works on; a lock keeps new jobs from what is being deleted.
 */
import { type ExpiredResource, recordExpiry } from './access/audit.js';
import { deleteUnreferencedBlobs } from './blobs/blob-references.js';
import { type Database, Prisma } from './database.js';
import { givePlaces } from './events/event-log.js';
import { type JobPlaces, removeJobs } from './jobs/delete-jobs.js';
import { removeDatasets } from './repositories/datasets.js';
import { lockExpired, type Owned } from './repositories/job-references.js';
import { removeModels } from './repositories/models.js';

/** How many of each kind a sweep has deleted. */
export type Expired = Readonly<Record<`${ExpiredResource}s`, number>>;

/** Of each kind in one sweep. */
const LIMIT = 50;

/** How long a job is kept counts anew from its end. */
const JOB_EXPIRED = Prisma.sql`expires_at <= now() AND state NOT IN ('queued', 'running')
  AND finished_at + make_interval(secs => kept_seconds) <= now()`;

export async function sweepExpired(places: JobPlaces): Promise<Expired> {
  const { db, queueOutlook } = places;
  await givePlaces(db);
  return {
    jobs: await sweep(places, 'job', lockExpiredJobs, (tx, ids) => removeJobs(tx, queueOutlook, ids)),
    models: await sweep(places, 'model', (tx) => lockExpired(tx, 'model', LIMIT), removeModels),
    datasets: await sweep(places, 'dataset', (tx) => lockExpired(tx, 'dataset', LIMIT), removeDatasets),
  };
}

function lockExpiredJobs(tx: Database): Promise<Owned[]> {
  return tx.$queryRaw<Owned[]>`
    SELECT id, project_id AS "projectId" FROM jobs WHERE ${JOB_EXPIRED}
    ORDER BY expires_at LIMIT ${LIMIT} FOR UPDATE SKIP LOCKED`;
}

/** @param remove deletes rows, and gives the digests of their files */
async function sweep(
  { db, blobs }: JobPlaces,
  kind: ExpiredResource,
  lock: (tx: Database) => Promise<Owned[]>,
  remove: (tx: Database, ids: readonly string[]) => Promise<string[]>,
): Promise<number> {
  const { count, digests } = await db.$transaction(async (tx) => {
    const expired = await lock(tx);
    if (expired.length === 0) return { count: 0, digests: [] };
    await recordExpiry(tx, kind, expired);
    const digests = await remove(
      tx,
      expired.map(({ id }) => id),
    );
    return { count: expired.length, digests };
  });
  await deleteUnreferencedBlobs(db, blobs, digests);
  return count;
}
