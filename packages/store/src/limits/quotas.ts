/** What a project and its keys have used, beside what they may. */
import { TritforgeError } from '@tritforge/contracts';
import { type Database, Prisma } from '../database.js';
import { runsWithin } from '../jobs/past-runs.js';

const DAY = Prisma.sql`interval '24 hours'`;

/** What a project stores, in bytes: a file counts as often as it is part of something. */
export interface StorageUse {
  readonly models: number;
  readonly datasets: number;
  readonly artifacts: number;
}

export async function storageUse(db: Database, projectId: string): Promise<StorageUse> {
  const [row] = await db.$queryRaw<[{ models: bigint; datasets: bigint; artifacts: bigint }]>`
    SELECT
      (SELECT coalesce(sum(size_bytes), 0)::bigint FROM models WHERE project_id = ${projectId}) AS models,
      (SELECT coalesce(sum(size_bytes), 0)::bigint FROM datasets WHERE project_id = ${projectId}) AS datasets,
      (SELECT coalesce(sum(artifacts.size_bytes), 0)::bigint FROM artifacts JOIN jobs ON jobs.id = artifacts.job_id
        WHERE jobs.project_id = ${projectId}) AS artifacts`;
  return { models: Number(row.models), datasets: Number(row.datasets), artifacts: Number(row.artifacts) };
}

/**
 * Makes sure that there is room for an upload, within the transaction that writes its row; uploads to one project take turns.
 * @throws TritforgeError QUOTA_EXCEEDED
 */
export async function reserveStorage(tx: Database, projectId: string, addedBytes: bigint): Promise<void> {
  const [project] = await tx.$queryRaw<{ storage_bytes: bigint | null }[]>`
    SELECT storage_bytes FROM projects WHERE id = ${projectId} AND storage_bytes IS NOT NULL FOR UPDATE`;
  if (project?.storage_bytes == null) return;
  const { models, datasets, artifacts } = await storageUse(tx, projectId);
  const used = BigInt(models + datasets + artifacts);
  if (used + addedBytes <= project.storage_bytes) return;
  throw new TritforgeError(
    'QUOTA_EXCEEDED',
    `The project stores ${used} of ${project.storage_bytes} bytes, and the upload has ${addedBytes}`,
    {
      remediation:
        'Delete models, datasets and jobs that are not needed any more, or ask the operator for more storage.',
    },
  );
}

/** Of a key that has used its minutes of the day. */
export function minutesUsedUp(used: number, allowed: number): TritforgeError {
  return new TritforgeError(
    'QUOTA_EXCEEDED',
    `The jobs of this key have run for ${Math.floor(used)} of ${allowed} minutes in the last 24 hours`,
    { remediation: 'Send the job later, or ask the operator for more.' },
  );
}

/** Minutes that workers spent on jobs of a key in the last 24 hours, whether the jobs are still there or not. */
export async function jobMinutesOfDay(db: Database, keyId: string): Promise<number> {
  const [row] = await db.$queryRaw<[{ minutes: number }]>`SELECT ${usedMinutes(Prisma.sql`${keyId}`)} AS minutes`;
  return row.minutes;
}

/** The same as SQL. @param keyId a value or a column */
export function usedMinutes(keyId: Prisma.Sql): Prisma.Sql {
  return Prisma.sql`(
    SELECT coalesce(sum(extract(epoch FROM coalesce(finished_at, now()) - greatest(started_at, now() - ${DAY}))), 0)::double precision / 60
    FROM ${runsWithin(DAY)} AS runs WHERE key_id = ${keyId}
  )`;
}
