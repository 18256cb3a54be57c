import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { listFiles } from '#test/support/footprint';
import { holdsWithin } from '../until.js';
import type { Check, CheckContext } from './context.js';
import { strayProcesses } from './processes.js';

/** Workers look every five seconds for what is left, and the queue finds out after ten that a delivery lost its worker. */
const CLEAN_WITHIN_MS = 45_000;

/** Locks that nobody holds while there is nothing to do, and work that nobody waits for. */
const IDLE = `
  SELECT
    (SELECT count(*)::int FROM uploads WHERE lease_until > clock_timestamp()) AS "uploads that a request holds",
    (SELECT count(*)::int FROM once_keys WHERE status IS NULL AND lease_until > clock_timestamp()) AS "requests at work",
    (SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory' AND granted) AS "advisory locks",
    (SELECT count(*)::int FROM pg_stat_activity WHERE state LIKE 'idle in transaction%') AS "open transactions",
    (SELECT count(*)::int FROM job_events WHERE sequence IS NULL) AS "events without a place"`;

/** What is left of work that is over, as sentences; it may take the service a while to get rid of it. */
const LOOKS: readonly Check[] = [idleRows, queued, scratchFiles, strayUploads, strayProcesses];

/** Nothing of what is over is left: locks, leases, deliveries, scratch files, processes. */
export async function checkLeftovers(context: CheckContext): Promise<string[]> {
  let left = ['what is left could not be looked up'];
  const isClean = await holdsWithin(CLEAN_WITHIN_MS, async () => {
    left = (await Promise.all(LOOKS.map((look) => look(context)))).flat();
    return left.length === 0;
  });
  return isClean ? [] : left;
}

async function idleRows({ service }: CheckContext): Promise<string[]> {
  const { rows } = await service.db.query<Record<string, number>>(IDLE);
  return Object.entries(rows[0]!)
    .filter(([, count]) => count > 0)
    .map(([name, count]) => `there are ${name}: ${count}`);
}

async function queued({ service }: CheckContext): Promise<string[]> {
  const { waiting, active } = await service.withStore(({ queue }) => queue.counts());
  return waiting + active === 0 ? [] : [`the queue has ${waiting} deliveries that wait and ${active} at work`];
}

/** Folders of workers may stay, empty, while they run; and so may those in which uploads are staged. */
async function scratchFiles({ service }: CheckContext): Promise<string[]> {
  const folders = ['work', 'scratch', 'checkpoints', 'blobs/staging'].map((folder) => join(service.dataDir, folder));
  const files = (await Promise.all(folders.map(listFiles))).flat();
  return files.map((path) => `${path} is left`);
}

async function strayUploads({ service }: CheckContext): Promise<string[]> {
  const { rows } = await service.db.query<{ id: string }>('SELECT id FROM uploads');
  const known = new Set(rows.map(({ id }) => id));
  const names = await readdir(join(service.dataDir, 'blobs/uploads'));
  return names.filter((name) => !known.has(name)).map((name) => `the file of upload ${name} is left without its row`);
}
