import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from 'pg';
import type { Moment, Sight } from '../plan.js';
import { holdsWithin } from '../until.js';

/** Not every round has everything to see. */
const PATIENCE_MS = 8_000;

/**
 * Waits for the moment of a fault.
 * @param since the beginning of the round: what was made before is not of it
 * @returns what it came to, in words
 */
export async function waitFor(moment: Moment, db: Pool, since: Date): Promise<string> {
  if ('afterMs' in moment) {
    await sleep(moment.afterMs);
    return `after ${(moment.afterMs / 1000).toFixed(1)} s`;
  }
  const isSeen = await holdsWithin(PATIENCE_MS, () => sees(db, moment.seen, since));
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
      return [`${jobs} state = 'running' AND phase = $2) AS seen`, [since, sight]];
  }
}
