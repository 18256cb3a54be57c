import { constants, createReadStream } from 'node:fs';
import {
  access,
  chmod,
  copyFile,
  link,
  mkdir,
  open,
  opendir,
  readdir,
  rename,
  rm,
  stat,
  utimes,
  writeFile,
} from 'node:fs/promises';
import path from 'node:path';
import { type BlobLayout, blobLayout } from './blob-layout.js';
import type { BlobStorage, StagedBlob } from './blob-storage.js';
import { CONTENT_MODE, type Received, receive, takeOver } from './staging.js';
import { storageError } from './storage-errors.js';

/** A storage shows that it is open by touching its staging folder this often. */
const TOUCH_INTERVAL_MS = 60_000;
/** A staging folder that was not touched for so long belongs to a process that died. */
const STALE_AFTER_MS = 10 * TOUCH_INTERVAL_MS;
const HEX = /^[0-9a-f]{64}$/;

/**
 * Opens the blobs in a directory, which several processes may share, and removes what dead processes left in staging.
 * Goes on doing so until it is closed.
 */
export async function openFileBlobStorage(blobDir: string): Promise<BlobStorage> {
  const layout = blobLayout(blobDir);
  await mkdir(layout.stagingDir, { recursive: true });
  await mkdir(layout.contentRoot, { recursive: true });
  await sweepStaging(layout);
  const upkeep = async (): Promise<void> => {
    const now = new Date();
    await mkdir(layout.stagingDir, { recursive: true });
    await utimes(layout.stagingDir, now, now);
    await sweepStaging(layout);
  };
  // A failure shows in ping, and the next round tries again.
  const timer = setInterval(() => void upkeep().catch(() => {}), TOUCH_INTERVAL_MS);
  timer.unref();

  return {
    stage: async (source, options = {}) => {
      const localPath = layout.newStagingPath();
      return stagedBlob(layout, localPath, await receive(source, localPath, options));
    },
    putFile: async (file, options = {}) => {
      const localPath = layout.newStagingPath();
      return stagedBlob(layout, localPath, await takeOver(file, localPath, options));
    },
    stat: async (digest) => {
      const sizeBytes = await sizeOf(layout.pathOf(digest));
      return sizeBytes === null ? null : { sizeBytes };
    },
    open: (digest, range = {}) => createReadStream(layout.pathOf(digest), range),
    materialize: (digest, targetPath) => linkOrCopy(layout.pathOf(digest), targetPath),
    delete: (digest) => rm(layout.pathOf(digest), { force: true }),
    list: () => listDigests(layout),
    ping: async () => {
      const probe = layout.newStagingPath();
      await writeFile(probe, 'probe', { flag: 'wx' });
      await rm(probe);
      await access(layout.contentRoot, constants.R_OK | constants.W_OK | constants.X_OK);
    },
    close: async () => {
      clearInterval(timer);
      await rm(layout.stagingDir, { recursive: true, force: true });
    },
  };
}

function stagedBlob(layout: BlobLayout, localPath: string, { digest, sizeBytes }: Received): StagedBlob {
  return {
    digest,
    sizeBytes,
    localPath,
    linkTo: (targetPath) => linkOrCopy(localPath, targetPath),
    publish: () => publish(localPath, layout.pathOf(digest), sizeBytes),
    discard: () => rm(localPath, { force: true }),
  };
}

/** Renames staged content to its digest. Content that is there already stays, unless a crash left it incomplete. */
async function publish(localPath: string, target: string, sizeBytes: number): Promise<void> {
  if ((await sizeOf(target)) === sizeBytes) {
    await rm(localPath, { force: true });
    return;
  }
  const shard = path.dirname(target);
  const isNewShard = (await mkdir(shard, { recursive: true }).catch(rethrowStorageError)) !== undefined;
  await rename(localPath, target).catch(rethrowStorageError);
  await syncDirectory(shard);
  if (isNewShard) await syncDirectory(path.dirname(shard));
}

function rethrowStorageError(error: unknown): never {
  throw storageError(error);
}

async function syncDirectory(dir: string): Promise<void> {
  const handle = await open(dir, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function sizeOf(file: string): Promise<number | null> {
  try {
    return (await stat(file)).size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** A hard link; or a copy (sharing blocks where it can) on another file system, or where links are not allowed. */
async function linkOrCopy(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if (!['EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP', 'ENOSYS'].includes((error as NodeJS.ErrnoException).code ?? ''))
      throw error;
    await copyFile(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE).catch(rethrowStorageError);
    await chmod(to, CONTENT_MODE);
  }
}

async function* listDigests(layout: BlobLayout): AsyncIterable<string> {
  for await (const shard of await opendir(layout.contentRoot)) {
    if (!shard.isDirectory()) continue;
    for (const name of await readdir(path.join(layout.contentRoot, shard.name))) {
      if (HEX.test(name)) yield `sha256:${name}`;
    }
  }
}

/** Removes the staging folders of processes that died. */
async function sweepStaging(layout: BlobLayout): Promise<void> {
  const now = Date.now();
  for (const name of await readdir(layout.stagingRoot)) {
    const dir = path.join(layout.stagingRoot, name);
    const stats = await stat(dir).catch(() => null);
    if (!stats || dir === layout.stagingDir || now - stats.mtimeMs < STALE_AFTER_MS) continue;
    await rm(dir, { recursive: true, force: true });
  }
}
