import type { Database } from './database.js';

/** Keys of the advisory locks of the service; digests of blobs have further ones. Any numbers that nothing else in the database uses. */
export const LOCKS = {
  /** Processes migrate in turn. */
  migrations: 7_414_266_001,
  /** Readers of the log give places to events. */
  eventPlaces: 7_414_266_002,
  /** Workers choose jobs. */
  choices: 7_414_266_003,
  /** Workers write messages to webhooks. */
  messages: 7_414_266_004,
} as const;

/** Waits for a lock, and keeps it until the end of the transaction. What others wrote under it is visible to the next statement. */
export async function lockUntilEnd(tx: Database, lock: keyof typeof LOCKS): Promise<void> {
  await tx.$queryRaw`SELECT 1 FROM (SELECT pg_advisory_xact_lock(${LOCKS[lock]}::bigint)) AS locked`;
}
