/** Lets time pass for what a service does after minutes and hours, by moving the times that it goes by. */
import { readdir, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { EXPIRY_SECONDS } from '../pipeline/tasks.js';
import type { Service } from '../service/service.js';
import { holdsWithin } from '../until.js';

/** Workers look every five seconds. */
const SWEPT_WITHIN_MS = 45_000;
const LONG_AGO_MS = 48 * 3_600_000;
/** Longer than anything is kept that has an end; uploads are, for a day. */
const PASSED_SECONDS = EXPIRY_SECONDS + 24 * 3600;
/** Folders of processes are called after their host and process. */
const OWNER = /-(\d+)-[^-]+$/;

/**
 * Folders of processes that were killed look as if they had not been touched for two days.
 * @returns whether there were any
 */
export async function ageFolders({ dataDir, apis, workers }: Service): Promise<boolean> {
  let found = false;
  const living = new Set([...apis, ...workers, process].map(({ pid }) => `${pid}`));
  const longAgo = new Date(Date.now() - LONG_AGO_MS);
  for (const parent of ['work', 'blobs/staging', 'scratch/api']) {
    for (const name of await readdir(join(dataDir, parent)).catch(() => [])) {
      if (living.has(OWNER.exec(name)?.[1] ?? '')) continue;
      found = true;
      // Somebody may remove it just now.
      await utimes(join(dataDir, parent, name), longAgo, longAgo).catch(() => {});
    }
  }
  return found;
}

/**
 * All that has an end has come to it: jobs, what they brought along, and uploads of which nobody was told, because the process that made
 * them was killed. Waits until workers have deleted it. Returns what is wrong.
 */
export async function expire({ db }: Service): Promise<string[]> {
  const span = `interval '${PASSED_SECONDS} seconds'`;
  await db.query(
    `UPDATE jobs SET started_at = started_at - ${span}, finished_at = finished_at - ${span}, expires_at = expires_at - ${span}
     WHERE expires_at IS NOT NULL`,
  );
  for (const table of ['models', 'datasets', 'uploads'])
    await db.query(`UPDATE ${table} SET expires_at = expires_at - ${span} WHERE expires_at IS NOT NULL`);
  let left = -1;
  await holdsWithin(SWEPT_WITHIN_MS, async () => {
    const { rows } = await db.query<{ count: number }>(`
      SELECT (SELECT count(*) FROM jobs WHERE expires_at < now()) + (SELECT count(*) FROM models WHERE expires_at < now())
        + (SELECT count(*) FROM datasets WHERE expires_at < now()) + (SELECT count(*) FROM uploads) AS count`);
    left = Number(rows[0]!.count);
    return left === 0;
  });
  return left === 0 ? [] : [`${left} jobs, models, datasets and uploads are there after they expired`];
}
