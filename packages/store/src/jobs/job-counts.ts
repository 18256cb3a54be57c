import type { JobState } from '@tritforge/contracts';
import type { Database } from '../database.js';

/** The jobs of all projects. */
export interface JobCounts {
  /** States that no job has are left out. */
  readonly byState: Readonly<Partial<Record<JobState, number>>>;
  /** 0 where none waits. */
  readonly oldestQueuedSeconds: number;
}

export async function jobCounts(db: Database): Promise<JobCounts> {
  const rows = await db.$queryRaw<{ state: JobState; count: number; oldest: number | null }[]>`
    SELECT state, count(*)::int AS count,
      extract(epoch FROM now() - min(queued_at) FILTER (WHERE state = 'queued'))::double precision AS oldest
    FROM jobs GROUP BY state`;
  return {
    byState: Object.fromEntries(rows.map(({ state, count }) => [state, count])),
    oldestQueuedSeconds: Math.max(rows.find(({ state }) => state === 'queued')?.oldest ?? 0, 0),
  };
}
