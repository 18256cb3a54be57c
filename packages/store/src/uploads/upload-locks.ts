/**
 * One request at a time works on an upload, in whichever process.
 *
 *   take     one conditional UPDATE; where it fails the row says that somebody waits
 *   renew    tells the holder that somebody waits: a client that came back after its connection hung must not wait for the old one
 *   lease    runs out where the process that held the lock is gone
 */
import { randomUUID } from 'node:crypto';
import { TritforgeError } from '@tritforge/contracts';
import { Prisma } from '../database.js';
import type { PrismaClient } from '../generated/client.js';
import { type Reach, within } from '../repositories/reach.js';

export interface UploadLocks {
  /**
   * The token of the lock; null while another request has it, which then is told so.
   * @throws TritforgeError UPLOAD_NOT_FOUND
   */
  take(id: string): Promise<string | null>;
  /** Renews the lease; five times in its span are enough. Whether the lock is to be given back: it is wanted, or was lost. */
  renew(id: string, token: string): Promise<{ readonly isWanted: boolean }>;
  release(id: string, token: string): Promise<void>;
}

/** How long a lock lives that is not renewed, in milliseconds. */
export const UPLOAD_LEASE_MS = 5_000;
const LEASE = Prisma.sql`clock_timestamp() + make_interval(secs => ${UPLOAD_LEASE_MS / 1000}::double precision)`;

export function createUploadLocks(db: PrismaClient, reach: Reach): UploadLocks {
  return {
    take: async (id) => {
      const token = randomUUID();
      const taken = await db.$executeRaw`
        UPDATE uploads SET token = ${token}, lease_until = ${LEASE}, is_wanted = FALSE
        WHERE id = ${id} AND ${within(reach)} AND (lease_until IS NULL OR lease_until < clock_timestamp())`;
      if (taken === 1) return token;
      const told = await db.$executeRaw`UPDATE uploads SET is_wanted = TRUE WHERE id = ${id} AND ${within(reach)}`;
      if (told === 1) return null;
      throw new TritforgeError('UPLOAD_NOT_FOUND', `There is no upload ${id}.`);
    },
    renew: async (id, token) => {
      const [row] = await db.$queryRaw<{ is_wanted: boolean }[]>`
        UPDATE uploads SET lease_until = ${LEASE} WHERE id = ${id} AND token = ${token} RETURNING is_wanted`;
      return { isWanted: row?.is_wanted ?? true };
    },
    release: async (id, token) => {
      await db.$executeRaw`UPDATE uploads SET token = NULL, lease_until = NULL WHERE id = ${id} AND token = ${token}`;
    },
  };
}
