import { setTimeout as sleep } from 'node:timers/promises';
import { TritforgeError } from '@tritforge/contracts';
import { UPLOAD_LEASE_MS, type UploadRepository } from '@tritforge/store';
import type { Lock, Locker } from '@tus/server';

const RENEW_MS = UPLOAD_LEASE_MS / 10;
const POLL_MS = 100;
/** Long enough for the lease of a process that was killed to run out. */
const WAIT_MS = 2 * UPLOAD_LEASE_MS;

/** Locks of uploads as tus asks for them, kept in the database: requests for one upload may come to several processes. */
export function uploadLocker({ locks }: Pick<UploadRepository, 'locks'>): Locker {
  return {
    newLock: (id): Lock => {
      let token = '';
      let renewing: NodeJS.Timeout | undefined;
      return {
        lock: async (signal, requestRelease) => {
          const giveUpMs = performance.now() + WAIT_MS;
          for (let taken = await locks.take(id); ; taken = await locks.take(id)) {
            if (taken !== null) {
              token = taken;
              break;
            }
            if (signal.aborted || performance.now() > giveUpMs) throw locked(id);
            await sleep(POLL_MS);
          }
          renewing = setInterval(async () => {
            // Where the database is gone the lease runs out, and the next renewal says so.
            const state = await locks.renew(id, token).catch(() => null);
            if (state?.isWanted) await requestRelease();
          }, RENEW_MS);
        },
        unlock: async () => {
          clearInterval(renewing);
          // Where this fails the lease runs out.
          await locks.release(id, token).catch(() => {});
        },
      };
    },
  };
}

function locked(id: string): TritforgeError {
  return new TritforgeError('UPLOAD_LOCKED', `Another request has worked on the upload ${id} for ${WAIT_MS / 1000} s`, {
    remediation: 'Send the request again in a while; one request at a time may write to an upload.',
  });
}
