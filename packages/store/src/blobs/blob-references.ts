import { type Database, Prisma } from '../database.js';
import type { PrismaClient } from '../generated/client.js';
import type { BlobStorage, StagedBlob } from './blob-storage.js';

// A blob lives as long as a row refers to its digest. Whoever publishes content or deletes it holds the advisory lock of
// the digest until the transaction ends, so that content that is uploaded again while its last row goes away is either
// found by the delete, or published after it.

/** The key of a digest's advisory lock: its first 64 bits. Two digests with one key merely wait for each other. */
function lockKey(digest: string): bigint {
  return BigInt.asIntN(64, BigInt(`0x${digest.slice('sha256:'.length, 'sha256:'.length + 16)}`));
}

/** Takes the locks of the digests until the end of the transaction, in an order that is the same for everybody. */
async function lockDigests(tx: Database, digests: readonly string[]): Promise<void> {
  const keys = [...new Set(digests.map(lockKey))].sort((a, b) => (a < b ? -1 : 1));
  if (keys.length === 0) return;
  await tx.$queryRaw`SELECT count(pg_advisory_xact_lock(key)) FROM unnest(${keys}::bigint[]) AS key`;
}

/** Locks the digests and publishes their content; call it before writing the rows that refer to them. */
export async function publishBlobs(tx: Database, blobs: readonly StagedBlob[]): Promise<void> {
  await lockDigests(tx, digestsOf(blobs));
  await publishAll(blobs);
}

function digestsOf(blobs: readonly StagedBlob[]): string[] {
  return blobs.map(({ digest }) => digest);
}

async function publishAll(blobs: readonly StagedBlob[]): Promise<void> {
  for (const blob of blobs) await blob.publish();
}

/**
 * Runs a transaction that publishes blobs, once their content is where publishing is short. It begins with the locks of their digests:
 * whoever locks rows as well does so behind them, and then nobody waits in a circle. When it fails, what no row refers to is deleted again;
 * where that fails too, it is swept later.
 * @param work publishes before it writes the rows that refer to the content
 */
export async function withBlobs<T>(
  db: PrismaClient,
  blobs: BlobStorage,
  staged: readonly StagedBlob[],
  work: (tx: Database, publish: () => Promise<void>) => Promise<T>,
): Promise<T> {
  const digests = digestsOf(staged);
  try {
    for (const blob of staged) await blob.send();
    return await db.$transaction(async (tx) => {
      await lockDigests(tx, digests);
      return work(tx, () => publishAll(staged));
    });
  } catch (error) {
    await deleteUnreferencedBlobs(db, blobs, digests).catch(() => {});
    throw error;
  }
}

/** Deletes those of the digests that no row refers to. Call it after the transaction that removed the rows. Returns how many those are. */
export async function deleteUnreferencedBlobs(
  db: PrismaClient,
  blobs: BlobStorage,
  digests: readonly string[],
): Promise<number> {
  let deleted = 0;
  // One at a time: a transaction over many could run out of time, and with it of its locks, while files are still being deleted.
  for (const digest of new Set(digests)) {
    deleted += await db.$transaction(async (tx) => {
      await lockDigests(tx, [digest]);
      const unreferenced = await selectUnreferenced(tx, [digest]);
      for (const known of unreferenced) await blobs.delete(known);
      return unreferenced.length;
    });
  }
  return deleted;
}

/** Those of the digests that no row refers to. */
async function selectUnreferenced(tx: Database, digests: readonly string[]): Promise<string[]> {
  const rows = await tx.$queryRaw<{ digest: string }[]>(Prisma.sql`
    SELECT DISTINCT digest FROM unnest(${[...digests]}::text[]) AS wanted(digest)
    WHERE NOT EXISTS (SELECT 1 FROM model_files f WHERE f.digest = wanted.digest)
      AND NOT EXISTS (SELECT 1 FROM datasets d WHERE d.digest = wanted.digest)
      AND NOT EXISTS (SELECT 1 FROM artifact_files f WHERE f.digest = wanted.digest)`);
  return rows.map((row) => row.digest);
}

const SWEEP_BATCH = 200;

/** Deletes all content that no row refers to; returns how many blobs that were. */
export async function sweepBlobs(db: PrismaClient, blobs: BlobStorage): Promise<number> {
  let deleted = 0;
  let batch: string[] = [];
  const flush = async (): Promise<void> => {
    const candidates = await selectUnreferenced(db, batch);
    deleted += await deleteUnreferencedBlobs(db, blobs, candidates);
    batch = [];
  };
  for await (const digest of blobs.list()) {
    batch.push(digest);
    if (batch.length === SWEEP_BATCH) await flush();
  }
  if (batch.length > 0) await flush();
  return deleted;
}
