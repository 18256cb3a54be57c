import { setTimeout as sleep } from 'node:timers/promises';
import { TritforgeError } from '@tritforge/contracts';
import type { Logger } from 'pino';

const DELAYS_MS = [100, 300, 1000, 3000, 5000];

/**
 * Ends an attempt even if the database is away for a moment. Calls may come twice, which the store allows: the second
 * one finds the claim used. An error that names what is wrong with the request is passed on at once.
 */
export async function untilReachable<T>(logger: Logger, call: () => Promise<T>): Promise<T> {
  for (const delayMs of DELAYS_MS) {
    try {
      return await call();
    } catch (error) {
      if (error instanceof TritforgeError && error.status < 500) throw error;
      logger.warn({ err: error, delayMs }, 'the store failed; trying again');
      await sleep(delayMs);
    }
  }
  return call();
}
