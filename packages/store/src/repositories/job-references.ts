import { TritforgeError } from '@tritforge/contracts';
import { type Database, Prisma } from '../database.js';
import { type Reach, within } from './reach.js';

/** What a job works on. */
export type Input = 'model' | 'dataset';

export const INPUT_TABLES: Readonly<Record<Input, Prisma.Sql>> = {
  model: Prisma.sql`models`,
  dataset: Prisma.sql`datasets`,
};

/** A job that has not ended uses the row. */
const IN_USE: Readonly<Record<Input, Prisma.Sql>> = {
  model: Prisma.sql`EXISTS (SELECT 1 FROM jobs WHERE state IN ('queued', 'running') AND model_id = models.id)`,
  dataset: Prisma.sql`EXISTS (SELECT 1 FROM jobs WHERE state IN ('queued', 'running')
    AND datasets.id IN (calibration_dataset_id, evaluation_dataset_id, training_dataset_id))`,
};

/**
 * Keeps jobs from being created on a model or dataset until the transaction, which deletes it, ends. False when there is
 * none.
 *
 * @throws TritforgeError RESOURCE_IN_USE when a job that has not ended needs it.
 */
export async function lockForDelete(tx: Database, input: Input, reach: Reach, id: string): Promise<boolean> {
  const rows = await tx.$queryRaw<unknown[]>`
    SELECT 1 FROM ${INPUT_TABLES[input]} WHERE id = ${id} AND ${within(reach)} FOR UPDATE`;
  if (rows.length === 0) return false;
  const uses =
    input === 'model'
      ? { modelId: id }
      : { OR: [{ calibrationDatasetId: id }, { evaluationDatasetId: id }, { trainingDatasetId: id }] };
  const job = await tx.job.findFirst({
    where: { state: { in: ['queued', 'running'] }, ...uses },
    select: { id: true },
  });
  if (!job) return true;
  throw new TritforgeError('RESOURCE_IN_USE', `The ${input} ${id} is used by job ${job.id}, which has not ended.`, {
    remediation: 'Wait until the job has ended, or cancel it.',
  });
}

/** A row, and whose it is. */
export interface Owned {
  readonly id: string;
  readonly projectId: string;
}

/**
 * The same for models or datasets whose time is over, the first ones first; without those that somebody needs or works on.
 * @param limit most of them
 */
export async function lockExpired(tx: Database, input: Input, limit: number): Promise<Owned[]> {
  const table = INPUT_TABLES[input];
  const due = await tx.$queryRaw<{ id: string }[]>`
    SELECT id FROM ${table} WHERE expires_at <= now() AND NOT ${IN_USE[input]}
    ORDER BY expires_at LIMIT ${limit} FOR UPDATE SKIP LOCKED`;
  if (due.length === 0) return [];
  // A job may have come between the look and the lock: only a statement that begins behind the lock sees it.
  return tx.$queryRaw<Owned[]>`
    SELECT id, project_id AS "projectId" FROM ${table} WHERE id = ANY(${due.map(({ id }) => id)}::text[]) AND NOT ${IN_USE[input]}`;
}
