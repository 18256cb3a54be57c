import { mkdir, mkdtemp, readdir, rm, stat, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';

/** A folder that was not touched for so long belongs to a worker that is gone. */
const ABANDONED_AFTER_MS = 15 * 60_000;

/** A worker's own folder for the files of its jobs. */
export interface ScratchRoot {
  /** Runs `work` with a new empty folder, and removes the folder whatever happens. */
  withFolder<T>(work: (folder: string) => Promise<T>): Promise<T>;
  /** Marks the folder as in use, and removes those that workers left behind when they were killed. */
  refresh(): Promise<void>;
  remove(): Promise<void>;
}

/** Makes the worker's folder below `parentDir`, which workers on several machines may share. */
export async function makeScratchRoot(parentDir: string): Promise<ScratchRoot> {
  await mkdir(parentDir, { recursive: true });
  const root = await mkdtemp(join(parentDir, `${hostname()}-${process.pid}-`));
  return {
    withFolder: async (work) => {
      const folder = await mkdtemp(join(root, 'job-'));
      try {
        return await work(folder);
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    },
    refresh: async () => {
      const now = new Date();
      await utimes(root, now, now);
      await removeAbandoned(parentDir, now.getTime() - ABANDONED_AFTER_MS);
    },
    remove: () => rm(root, { recursive: true, force: true }),
  };
}

async function removeAbandoned(parentDir: string, beforeMs: number): Promise<void> {
  for (const name of await readdir(parentDir)) {
    const path = join(parentDir, name);
    const touchedMs = await stat(path).then(
      ({ mtimeMs }) => mtimeMs,
      () => Number.POSITIVE_INFINITY,
    );
    if (touchedMs < beforeMs) await rm(path, { recursive: true, force: true });
  }
}
