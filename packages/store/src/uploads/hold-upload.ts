import { setTimeout as sleep } from 'node:timers/promises';
import { TritforgeError } from '@tritforge/contracts';
import { UPLOAD_LEASE_MS, type UploadLocks } from './upload-locks.js';

const RENEW_MS = UPLOAD_LEASE_MS / 10;
const POLL_MS = 100;
/** Long enough for the lease of a process that was killed to run out. */
const WAIT_MS = 2 * UPLOAD_LEASE_MS;

/** A lock of an upload, renewed until it is given back. */
export interface HeldUpload {
  readonly token: string;
  release(): Promise<void>;
}

/** How to hold an upload. */
export interface HoldOptions {
  /** Ends the waiting. */
  readonly signal?: AbortSignal | undefined;
  /** Hears that somebody else wants the upload, or has it. */
  readonly onWanted?: () => unknown;
}

/** Waits for the lock of an upload. @throws TritforgeError UPLOAD_LOCKED, UPLOAD_NOT_FOUND */
export async function holdUpload(
  locks: UploadLocks,
  id: string,
  { signal, onWanted }: HoldOptions = {},
): Promise<HeldUpload> {
  const giveUpMs = performance.now() + WAIT_MS;
  let token = await locks.take(id);
  while (token === null) {
    if (signal?.aborted || performance.now() > giveUpMs) throw lockedUpload(id);
    await sleep(POLL_MS);
    token = await locks.take(id);
  }
  return held(locks, id, token, onWanted);
}

function held(locks: UploadLocks, id: string, token: string, onWanted: HoldOptions['onWanted']): HeldUpload {
  const renewing = setInterval(async () => {
    // Where the database is gone the lease runs out, and the next renewal says so.
    const state = await locks.renew(id, token).catch(() => null);
    if (state?.isWanted) await onWanted?.();
  }, RENEW_MS);
  return {
    token,
    release: async () => {
      clearInterval(renewing);
      // Where this fails the lease runs out.
      await locks.release(id, token).catch(() => {});
    },
  };
}

/** Somebody else works on the upload. */
export function lockedUpload(id: string): TritforgeError {
  return new TritforgeError('UPLOAD_LOCKED', `Another request works on the upload ${id}`, {
    remediation: 'Send the request again in a while; one request at a time may write to an upload.',
  });
}
