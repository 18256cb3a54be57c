import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** Where uploads are inspected, on the file system of the stored files so that they can be linked. */
export function scratchDirOf({ dataDir }: { readonly dataDir: string }): string {
  return join(dataDir, 'scratch', 'api');
}

/** Removes folders that a process which died left behind. Other processes may work in younger ones. */
export async function sweepScratch(scratchDir: string, minAgeMs: number): Promise<void> {
  for (const name of await readdir(scratchDir).catch(() => [])) {
    const path = join(scratchDir, name);
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Number.POSITIVE_INFINITY }));
    if (Date.now() - mtimeMs >= minAgeMs) await rm(path, { recursive: true, force: true });
  }
}
