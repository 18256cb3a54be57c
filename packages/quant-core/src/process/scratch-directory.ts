import { lstat, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** Runs `work` with a new empty folder below `parentDir`, which is made when missing, and removes the folder whatever happens. */
export async function withScratchDirectory<T>(parentDir: string, work: (scratchDir: string) => Promise<T>): Promise<T> {
  await mkdir(parentDir, { recursive: true });
  const scratchDir = await mkdtemp(join(parentDir, 'tritforge-'));
  try {
    return await work(scratchDir);
  } finally {
    await rm(scratchDir, { recursive: true, force: true, maxRetries: 3, retryDelay: 50 });
  }
}

/** Bytes of all files below a folder, each name counted; what vanishes meanwhile counts as nothing. */
export async function directorySizeBytes(directory: string): Promise<number> {
  const entries = await readdir(directory, { withFileTypes: true, recursive: true }).catch(() => []);
  const sizes = await Promise.all(
    entries
      .filter((entry) => entry.isFile())
      .map(async (entry) => (await lstat(join(entry.parentPath, entry.name)).catch(() => null))?.size ?? 0),
  );
  return sizes.reduce((sum, sizeBytes) => sum + sizeBytes, 0);
}
