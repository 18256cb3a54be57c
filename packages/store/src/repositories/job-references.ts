import { TritforgeError } from '@tritforge/contracts';
import { type Database, Prisma } from '../database.js';
import { type Reach, within } from './reach.js';

/** What a job works on. */
type Input = 'model' | 'dataset';

const TABLES = { model: Prisma.sql`models`, dataset: Prisma.sql`datasets` };

/**
 * Keeps a model or dataset of a project from being deleted until the transaction, which creates a job on it, ends. False
 * when there is none.
 */
export async function lockForUse(tx: Database, input: Input, projectId: string, id: string): Promise<boolean> {
  const rows = await tx.$queryRaw<unknown[]>`
    SELECT 1 FROM ${TABLES[input]} WHERE id = ${id} AND project_id = ${projectId} FOR KEY SHARE`;
  return rows.length > 0;
}

/**
 * Keeps jobs from being created on a model or dataset until the transaction, which deletes it, ends. False when there is
 * none.
 *
 * @throws TritforgeError RESOURCE_IN_USE when a job that has not ended needs it.
 */
export async function lockForDelete(tx: Database, input: Input, reach: Reach, id: string): Promise<boolean> {
  const rows = await tx.$queryRaw<unknown[]>`
    SELECT 1 FROM ${TABLES[input]} WHERE id = ${id} AND ${within(reach)} FOR UPDATE`;
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
