import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** Start of the names of folders in which uploads are inspected. */
export const SCRATCH_PREFIX = 'inspect-';

/** Removes folders that a process which died left behind. Other processes may work in younger ones. */
export async function sweepScratch(scratchDir: string, minAgeMs: number): Promise<void> {
  for (const name of await readdir(scratchDir).catch(() => [])) {
    if (!name.startsWith(SCRATCH_PREFIX)) continue;
    const path = join(scratchDir, name);
    const modifiedMs = await stat(path).then(
      ({ mtimeMs }) => mtimeMs,
      () => Number.POSITIVE_INFINITY,
    );
    if (Date.now() - modifiedMs >= minAgeMs) await rm(path, { recursive: true, force: true });
  }
}
