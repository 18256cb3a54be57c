import type { Pool } from 'pg';
import type { Moment, Sight } from '../plan.js';
import { holdsWithin } from '../until.js';

/** Not every round has everything to see. */
const PATIENCE_MS = 15_000;

/**
 * Waits for the moment of a fault, at most until there is nothing that it could meet any more.
 * @param since the beginning of the round: what was made before is not of it
 * @param over aborts when all tasks of the round have ended
 * @returns what it came to, in words
 */
export async function waitFor(moment: Moment, db: Pool, since: Date, over: AbortSignal): Promise<string> {
  if ('afterMs' in moment) {
    await holdsWithin(moment.afterMs, async () => over.aborted);
    return `after ${(moment.afterMs / 1000).toFixed(1)} s`;
  }
  let isSeen = false;
  await holdsWithin(PATIENCE_MS, async () => {
    isSeen = await sees(db, moment.seen, since);
    return isSeen || over.aborted;
  });
  return isSeen ? `at ${moment.seen}` : `without ${moment.seen}`;
}

async function sees(db: Pool, sight: Sight, since: Date): Promise<boolean> {
  const [text, values] = queryFor(sight, since);
  const { rows } = await db.query<{ seen: boolean }>(text, values);
  return rows[0]!.seen;
}

function queryFor(sight: Sight, since: Date): [text: string, values: unknown[]] {
  const jobs = 'SELECT EXISTS (SELECT 1 FROM jobs WHERE created_at >= $1 AND';
  switch (sight) {
    case 'uploading':
      return ['SELECT EXISTS (SELECT 1 FROM uploads WHERE created_at >= $1) AS seen', [since]];
    case 'queued':
      return [`${jobs} state = 'queued') AS seen`, [since]];
    case 'ended':
      return [`${jobs} finished_at IS NOT NULL) AS seen`, [since]];
    default:
      // Some phases are over before anybody looks.
      return ['SELECT EXISTS (SELECT 1 FROM job_events WHERE at >= $1 AND phase = $2) AS seen', [since, sight]];
  }
}
