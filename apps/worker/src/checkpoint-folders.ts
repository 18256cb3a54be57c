import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isTerminal } from '@tritforge/contracts';
import type { Store } from '@tritforge/store';

/** A folder for each job, in which attempts leave what later ones need not do again. They outlive the worker. */
export interface CheckpointFolders {
  /** The job's folder, and how many files earlier attempts left there: one per solved layer, one of a training. */
  open(jobId: string): Promise<{ readonly path: string; readonly fileCount: number }>;
  /** Removes the job's folder if the job has ended, however it did. */
  dropIfEnded(jobId: string): Promise<void>;
  /** Removes the folders of all jobs that have ended or are gone. */
  sweep(): Promise<void>;
}

/** Folders below `parentDir`, which workers may share: a job that another worker goes on with is found there. */
export function checkpointFolders(parentDir: string, { jobs }: Pick<Store, 'jobs'>): CheckpointFolders {
  const dropIfEnded = async (jobId: string) => {
    const job = await jobs.get(jobId);
    if (job === null || isTerminal(job.state)) await rm(join(parentDir, jobId), { recursive: true, force: true });
  };
  return {
    open: async (jobId) => {
      const path = join(parentDir, jobId);
      await mkdir(path, { recursive: true });
      return { path, fileCount: (await readdir(path)).length };
    },
    dropIfEnded,
    sweep: async () => {
      await mkdir(parentDir, { recursive: true });
      for (const jobId of await readdir(parentDir)) await dropIfEnded(jobId);
    },
  };
}
