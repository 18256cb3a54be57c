import { mkdir, mkdtemp, readdir, rename, rm, rmdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { TritforgeError } from '@tritforge/contracts';

/** A place to work in, on the file system of the output folder. */
export interface Workplace {
  /** Files that are to appear in the output folder are written here. */
  readonly resultsDir: string;
  readonly scratchRoot: string;
  /** Moves all results into the output folder, replacing files of the same name one by one. */
  publish(): Promise<void>;
}

/**
 * Runs `work` with a hidden workplace inside the output folder, which is made when missing. Whatever happens the
 * workplace goes, and with it everything that was not published; folders made for nothing go too.
 *
 * @throws TritforgeError USAGE_INVALID when the folder cannot be made or written to
 */
export async function withOutputFolder<T>(path: string, work: (workplace: Workplace) => Promise<T>): Promise<T> {
  const outputDir = resolve(path);
  const { workDir, firstCreated } = await makeWorkDir(path, outputDir);
  const resultsDir = join(workDir, 'results');
  try {
    await mkdir(resultsDir);
    return await work({ resultsDir, scratchRoot: workDir, publish: () => moveAll(resultsDir, outputDir) });
  } finally {
    await rm(workDir, { recursive: true, force: true });
    if (firstCreated !== undefined) await removeEmptyFolders(outputDir, firstCreated);
  }
}

/** @throws TritforgeError USAGE_INVALID when the folder cannot be made or written to; nothing is left of the attempt */
export async function requireOutputFolder(path: string): Promise<void> {
  await withOutputFolder(path, async () => {});
}

async function makeWorkDir(path: string, outputDir: string): Promise<{ workDir: string; firstCreated?: string }> {
  try {
    const firstCreated = await mkdir(outputDir, { recursive: true });
    const workDir = await mkdtemp(join(outputDir, '.tritforge-'));
    return { workDir, ...(firstCreated !== undefined && { firstCreated }) };
  } catch (error) {
    throw new TritforgeError('USAGE_INVALID', `Cannot write to ${path}: ${(error as Error).message}.`, {
      remediation: 'Give a folder that you may write to as --out.',
    });
  }
}

async function moveAll(fromDir: string, toDir: string): Promise<void> {
  for (const name of await readdir(fromDir)) await rename(join(fromDir, name), join(toDir, name));
}

/** Removes `folder` and its parents up to `last`, as long as they are empty. */
async function removeEmptyFolders(folder: string, last: string): Promise<void> {
  for (let current = folder; current.length >= last.length; current = dirname(current)) {
    try {
      await rmdir(current);
    } catch {
      return;
    }
  }
}
