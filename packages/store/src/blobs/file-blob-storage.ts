import { constants, createReadStream } from 'node:fs';
import { access, mkdir, open, opendir, readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { CONTENT_ROOT, contentPathOf } from './blob-layout.js';
import type { BlobStorage, StagedBlob } from './blob-storage.js';
import { linkOrCopy } from './link-or-copy.js';
import { openStagingArea, type StagedFile } from './staging-area.js';
import { rethrowStorageError } from './storage-errors.js';

const HEX = /^[0-9a-f]{64}$/;

/** Opens the blobs in a directory, which several processes may share. */
export async function openFileBlobStorage(blobDir: string): Promise<BlobStorage> {
  const contentRoot = path.resolve(blobDir, CONTENT_ROOT);
  const pathOf = (digest: string) => path.resolve(blobDir, contentPathOf(digest));
  await mkdir(contentRoot, { recursive: true });
  const staging = await openStagingArea(blobDir);
  const staged = (file: StagedFile) => stagedBlob(file, pathOf(file.digest));

  return {
    stage: async (source, options = {}) => staged(await staging.receive(source, options)),
    putFile: async (file, options = {}) => staged(await staging.takeOver(file, options)),
    stat: async (digest) => {
      const sizeBytes = await sizeOf(pathOf(digest));
      return sizeBytes === null ? null : { sizeBytes };
    },
    open: (digest, range = {}) => createReadStream(pathOf(digest), range),
    materialize: (digest, targetPath) => linkOrCopy(pathOf(digest), targetPath),
    delete: (digest) => rm(pathOf(digest), { force: true }),
    list: () => listDigests(contentRoot),
    ping: async () => {
      await staging.ping();
      await access(contentRoot, constants.R_OK | constants.W_OK | constants.X_OK);
    },
    close: () => staging.close(),
  };
}

function stagedBlob({ localPath, digest, sizeBytes }: StagedFile, target: string): StagedBlob {
  return {
    digest,
    sizeBytes,
    localPath,
    linkTo: (targetPath) => linkOrCopy(localPath, targetPath),
    send: async () => {},
    publish: () => publish(localPath, target, sizeBytes),
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

async function* listDigests(contentRoot: string): AsyncIterable<string> {
  for await (const shard of await opendir(contentRoot)) {
    if (!shard.isDirectory()) continue;
    for (const name of await readdir(path.join(contentRoot, shard.name))) {
      if (HEX.test(name)) yield `sha256:${name}`;
    }
  }
}
