import { setTimeout as sleep } from 'node:timers/promises';
import type { JobWatch } from '@tritforge/store';
import type { FastifyReply, FastifyRequest } from 'fastify';
import Type from 'typebox';
import { accessOf } from '../plugins/authentication.js';

/** The longest wait: most proxies end a request that gets no answer for a minute. */
const MAX_SECONDS = 50;
/** Between two looks without news, should the news be lost. */
const LOOK_MS = 5_000;
const PACE_MS = 100;

export const preferHeader = Type.Object({
  Prefer: Type.Optional(
    Type.String({
      description: `\`wait=n\` waits up to n seconds, ${MAX_SECONDS} at most (RFC 7240).`,
      examples: ['wait=30'],
    }),
  ),
});

/** The seconds of `Prefer: wait=n`, as far as the service waits; null where nobody asked. Preferences that make no sense are ignored. */
export function preferredWait({ headers }: FastifyRequest): number | null {
  const prefer = [headers.prefer ?? []].flat().join(',');
  const seconds = /(?:^|[,;])\s*wait\s*=\s*"?(\d{1,9})"?\s*(?:$|[,;])/i.exec(prefer)?.[1];
  return seconds === undefined ? null : Math.min(Number(seconds), MAX_SECONDS);
}

/**
 * Reads a job until it is as the client wants to see it, the time that the client prefers to wait is over, or the client has gone.
 * @param read may be called often
 */
export async function waitFor<T>(
  { watch, jobId }: { readonly watch: JobWatch; readonly jobId: string },
  request: FastifyRequest,
  reply: FastifyReply,
  read: () => Promise<T>,
  isWanted: (value: T) => boolean,
): Promise<T> {
  const seconds = preferredWait(request);
  if (seconds === null) return read();
  reply.header('preference-applied', `wait=${seconds}`);
  const giveUpMs = performance.now() + 1000 * seconds;
  const gone = new AbortController();
  reply.raw.once('close', () => gone.abort());
  const follower = watch.follow({ projectId: accessOf(request).projectId, jobId });
  try {
    for (;;) {
      const leftMs = giveUpMs - performance.now();
      const value = await read();
      if (isWanted(value) || leftMs <= 0 || gone.signal.aborted) return value;
      await follower.changed(Math.min(leftMs, LOOK_MS), gone.signal);
      await sleep(Math.min(PACE_MS, leftMs));
    }
  } finally {
    follower.close();
  }
}
