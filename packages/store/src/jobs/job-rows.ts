import type { Gates, Job, JobDatasets, Metric, Phase, Progress, Recipe, TraceContext } from '@tritforge/contracts';
import type { Database } from '../database.js';
import type { Prisma } from '../generated/client.js';
import type { Outlook } from './fair-order.js';
import type { QueueOutlook } from './queue-outlook.js';

/** What a job's row needs beside it to be shown. */
export const WITH_ARTIFACT_IDS = {
  artifacts: { select: { id: true }, orderBy: { position: 'asc' } },
} as const satisfies Prisma.JobInclude;

export type JobRow = Prisma.JobGetPayload<{ include: typeof WITH_ARTIFACT_IDS }>;

/** The job as resources show it. */
export function toJob(row: JobRow, outlook: Outlook | null): Job {
  return {
    id: row.id,
    state: row.state,
    phase: row.phase as Phase | null,
    progress: row.progress as Progress | null,
    queuePosition: outlook?.position ?? null,
    estimate: outlook?.estimate ?? null,
    createdAt: row.createdAt.toISOString(),
    startedAt: row.startedAt?.toISOString() ?? null,
    finishedAt: row.finishedAt?.toISOString() ?? null,
    expiresAt: expiryOf(row),
    attempts: row.attempts,
    engineVersion: row.engineVersion,
    modelId: row.modelId,
    recipe: row.recipe as Recipe,
    datasets: datasetsOf(row),
    metric: row.metric as Metric | null,
    gates: {
      requested: row.gates as Gates | null,
      passed: row.gatesPassed,
      results: row.gateResults as Job['gates']['results'],
    },
    deadlineSeconds: row.deadlineSeconds,
    startBy: row.startBy?.toISOString() ?? null,
    labels: row.labels as Record<string, string>,
    error: row.error as Job['error'],
    artifactIds: row.artifacts.map((artifact) => artifact.id),
  };
}

/** When a job is deleted: how long it is kept counts anew from its end (see sweep-expired.ts). */
export function expiryOf({
  expiresAt,
  keptSeconds,
  finishedAt,
}: Pick<JobRow, 'expiresAt' | 'keptSeconds' | 'finishedAt'>): string | null {
  if (expiresAt === null || keptSeconds === null) return null;
  const countedMs = finishedAt === null ? 0 : finishedAt.getTime() + keptSeconds * 1000;
  return new Date(Math.max(expiresAt.getTime(), countedMs)).toISOString();
}

function datasetsOf(row: JobRow): JobDatasets {
  return {
    ...(row.calibrationDatasetId !== null && { calibration: row.calibrationDatasetId }),
    ...(row.evaluationDatasetId !== null && { evaluation: row.evaluationDatasetId }),
    ...(row.trainingDatasetId !== null && { training: row.trainingDatasetId }),
  };
}

/** A column in which we wrote where something is in a trace. */
export function toTraceContext(column: unknown): TraceContext | null {
  return column as TraceContext | null;
}

/** Rows as resources show them. A job that started between the two queries has no place any more. */
export async function toJobs(db: Database, queue: QueueOutlook, rows: readonly JobRow[]): Promise<Job[]> {
  const waits = rows.some(({ state }) => state === 'queued');
  const outlooks = waits ? await queue.now(db) : null;
  return rows.map((row) => toJob(row, row.state === 'queued' ? (outlooks?.get(row.id) ?? null) : null));
}
