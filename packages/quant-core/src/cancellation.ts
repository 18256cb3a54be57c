import { TritforgeError } from '@tritforge/contracts';

/**
 * To be called between two steps of long work.
 * @throws TritforgeError CANCELED once the signal is aborted; its reason becomes the cause
 */
export function throwIfCanceled(signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return;
  throw new TritforgeError('CANCELED', 'the work was canceled', { cause: signal.reason });
}
