import { setTimeout as sleep } from 'node:timers/promises';
import { isTerminal, type Job, TritforgeError } from '@tritforge/contracts';
import type { ServiceRequest, Transport } from '../http/transport.js';
import type { CallOptions } from '../options.js';

/** How to wait for a job. */
export interface WaitOptions extends CallOptions {
  /** Milliseconds after which to stop waiting; it is waited to the end when left out. */
  readonly timeoutMs?: number | undefined;
  /** How long at a time the service may be away while it is waited, in milliseconds; 600,000 when left out. */
  readonly absenceMs?: number | undefined;
  /** Hears of the job at first, and of each change that is seen, its end included; changes within a second are seen as one. */
  readonly onProgress?: ((job: Job) => void) | undefined;
}

const ABSENCE_MS = 600_000;
/** The service is asked to hold its answer until something changes, but not for as long as proxies end such requests. */
const HOLD_SECONDS = 25;
const ANSWER_MS = 30_000;
/** Between the beginnings of two requests: the job may change faster than anybody watches. */
const PACE_MS = 1000;

interface Look {
  readonly job: Job;
  readonly etag: string | null;
}

/**
 * Waits for the end of a job. While the service is away it goes on asking.
 * @returns the job as it ended: succeeded, failed, canceled or expired
 * @throws TritforgeError WAIT_TIMEOUT when the time is over; the job goes on then; and as {@link Transport.send}
 */
export async function waitForJob(
  transport: Transport,
  id: string,
  { timeoutMs = Number.POSITIVE_INFINITY, absenceMs = ABSENCE_MS, onProgress, signal }: WaitOptions,
): Promise<Job> {
  const giveUpMs = performance.now() + timeoutMs;
  let known: Look | null = null;
  for (;;) {
    const askedMs = performance.now();
    const leftMs = giveUpMs - askedMs;
    const request = { retryMs: absenceMs, latestMs: giveUpMs, signal };
    const look = await lookAt(transport, id, known, Math.min(HOLD_SECONDS, Math.ceil(leftMs / 1000)), request);
    if (look !== known) onProgress?.(look.job);
    known = look;
    if (isTerminal(look.job.state)) return look.job;
    const pauseMs = Math.max(0, askedMs + PACE_MS - performance.now());
    if (performance.now() + pauseMs >= giveUpMs) throw timeIsOver(look.job, timeoutMs);
    await sleep(pauseMs, undefined, { ...(signal && { signal }) }).catch(() => {});
    signal?.throwIfAborted();
  }
}

/** The job, which is `known` itself when nothing has changed in the seconds that the service holds its answer. */
function lookAt(
  transport: Transport,
  id: string,
  known: Look | null,
  holdSeconds: number,
  request: Pick<ServiceRequest, 'retryMs' | 'latestMs' | 'signal'>,
): Promise<Look> {
  const held = known?.etag ? { 'if-none-match': known.etag, prefer: `wait=${holdSeconds}` } : {};
  return transport.send(
    {
      ...request,
      method: 'GET',
      path: `/jobs/${encodeURIComponent(id)}`,
      headers: held,
      accepts: [304],
      timeoutMs: holdSeconds * 1000 + ANSWER_MS,
    },
    async (response) => {
      if (response.status === 304 && known !== null) return known;
      return { job: await transport.jsonOf<Job>(response), etag: response.headers.get('etag') };
    },
  );
}

function timeIsOver({ id, state }: Job, timeoutMs: number): TritforgeError {
  return new TritforgeError('WAIT_TIMEOUT', `The job ${id} is still ${state} after ${Math.round(timeoutMs / 1000)} s`, {
    remediation: 'It goes on; wait for it again, or cancel it.',
  });
}
