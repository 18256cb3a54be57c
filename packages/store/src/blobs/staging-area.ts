import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { stagingRootOf } from './blob-layout.js';
import type { StageOptions } from './blob-storage.js';
import { type Received, receive, takeOver } from './staging.js';

/** A storage shows that it is open by touching its staging folder this often. */
const TOUCH_INTERVAL_MS = 60_000;
/** A staging folder that was not touched for so long belongs to a process that died. */
const STALE_AFTER_MS = 10 * TOUCH_INTERVAL_MS;

/** A file that has arrived, is hashed, read-only and synced to disk. */
export interface StagedFile extends Received {
  readonly localPath: string;
}

/** Where content waits on the local disk until it is published, whatever the driver. */
export interface StagingArea {
  /** See `BlobStorage.stage`. */
  receive(source: Readable, options: StageOptions): Promise<StagedFile>;
  /** See `BlobStorage.putFile`. */
  takeOver(file: string, options: StageOptions): Promise<StagedFile>;
  /** Checks that files can be written. @throws when they cannot */
  ping(): Promise<void>;
  /** Ends the upkeep and removes what was staged and never published. */
  close(): Promise<void>;
}

/**
 * Opens a staging folder of its own, so that leftovers of the dead can be told from uploads that go on, and removes what dead
 * processes left. Goes on doing so until it is closed.
 */
export async function openStagingArea(blobDir: string): Promise<StagingArea> {
  const root = stagingRootOf(blobDir);
  const dir = path.join(root, `${hostname()}-${process.pid}-${randomBytes(4).toString('hex')}`);
  const newPath = () => path.join(dir, randomBytes(12).toString('hex'));
  await mkdir(dir, { recursive: true });
  await sweep(root, dir);
  const upkeep = async (): Promise<void> => {
    const now = new Date();
    await mkdir(dir, { recursive: true });
    await utimes(dir, now, now);
    await sweep(root, dir);
  };
  // A failure shows in ping, and the next round tries again.
  const timer = setInterval(() => void upkeep().catch(() => {}), TOUCH_INTERVAL_MS);
  timer.unref();

  return {
    receive: async (source, options) => {
      const localPath = newPath();
      return { localPath, ...(await receive(source, localPath, options)) };
    },
    takeOver: async (file, options) => {
      const localPath = newPath();
      return { localPath, ...(await takeOver(file, localPath, options)) };
    },
    ping: async () => {
      const probe = newPath();
      await writeFile(probe, 'probe', { flag: 'wx' });
      await rm(probe);
    },
    close: async () => {
      clearInterval(timer);
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** Removes the staging folders of processes that died. */
async function sweep(root: string, own: string): Promise<void> {
  const now = Date.now();
  for (const name of await readdir(root)) {
    const dir = path.join(root, name);
    const stats = await stat(dir).catch(() => null);
    if (!stats || dir === own || now - stats.mtimeMs < STALE_AFTER_MS) continue;
    await rm(dir, { recursive: true, force: true });
  }
}
