import { type HeldUpload, holdUpload, type UploadRepository } from '@tritforge/store';
import type { Lock, Locker } from '@tus/server';

/** Locks of uploads as tus asks for them, kept in the database: requests for one upload may come to several processes. */
export function uploadLocker({ locks }: Pick<UploadRepository, 'locks'>): Locker {
  return {
    newLock: (id): Lock => {
      let held: HeldUpload | null = null;
      return {
        lock: async (signal, requestRelease) => {
          held = await holdUpload(locks, id, { signal, onWanted: requestRelease });
        },
        unlock: async () => held?.release(),
      };
    },
  };
}
