import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS = 50;

/**
 * Looks until a condition holds. A look that fails, as while the database is away, counts as no.
 * @returns whether it came to hold in time
 */
export async function holdsWithin(timeoutMs: number, condition: () => Promise<boolean>): Promise<boolean> {
  const giveUpMs = Date.now() + timeoutMs;
  for (;;) {
    if (await condition().catch(() => false)) return true;
    if (Date.now() > giveUpMs) return false;
    await sleep(POLL_MS);
  }
}

/** Waits for work that may never end. @throws Error when it has not ended in time */
export async function inTime<T>(timeoutMs: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const isOver = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`it has not ended after ${timeoutMs / 1000} s`)), timeoutMs);
  });
  try {
    return await Promise.race([work, isOver]);
  } finally {
    clearTimeout(timer);
  }
}
