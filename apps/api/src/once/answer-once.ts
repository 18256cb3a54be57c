import { setTimeout as sleep } from 'node:timers/promises';
import { TritforgeError } from '@tritforge/contracts';
import { type Answer, contentKey, type Once, type OnceClaim, type OnceRepository } from '@tritforge/store';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { idempotencyKey } from '../http/idempotency-key.js';
import { accessOf } from '../plugins/authentication.js';

/** Tells a client that the answer is one that was given before. */
const REPLAYED = 'idempotency-replayed';
/** A third of the lease of a claim. */
const RENEW_MS = 5_000;
const POLL_MS = 100;
/** How long a request waits for the answer of the same request that is being worked on. */
const WAIT_MS = 60_000;

/** What a request leads to; the claim is null where the request has no key. */
export type Work = (claim: OnceClaim | null) => Promise<Answer>;

/** Whether what does the work keeps the answer too, in its transaction, or it is kept when the work is done. */
export type Keeping = 'within' | 'afterwards';

/**
 * The answer to a POST. With the header Idempotency-Key it does what was asked once: the same request with the same key gets the same
 * answer, for 24 hours, and waits for it while another one is at work. Only successes are kept, so that what failed can be tried again.
 * @param asked what was asked, as values that JSON has: equal for equal requests, in whatever form they were sent
 * @throws TritforgeError IDEMPOTENCY_KEY_REUSED, IDEMPOTENCY_IN_PROGRESS, and what `work` throws
 */
export async function answerOnce(
  request: FastifyRequest,
  asked: unknown,
  work: Work,
  keeping: Keeping = 'afterwards',
): Promise<Answer> {
  const key = idempotencyKey(request.headers);
  if (key === null) return work(null);
  const { once } = accessOf(request).store;
  const fingerprint = contentKey([request.method, request.url, asked]);
  const known = await claimed(once, key, fingerprint, () => request.raw.socket.destroyed);
  if ('claim' in known) return workOn(known.claim, once, work, keeping === 'afterwards');
  const { headers, ...answer } = known.answer;
  return { ...answer, headers: { ...headers, [REPLAYED]: 'true' } };
}

export function sendAnswer(reply: FastifyReply, { status, headers, body }: Answer): FastifyReply {
  // Null is no body, and would be sent as JSON.
  return reply
    .status(status)
    .headers(headers)
    .send(body ?? undefined);
}

/** Does what a POST without a body asks for, once, and sends the resource that comes of it. */
export async function sendOnce<Made extends object>(
  request: FastifyRequest,
  reply: FastifyReply,
  status: number,
  work: (once?: Once<Made>) => Promise<Made>,
  keeping?: Keeping,
): Promise<FastifyReply> {
  const answerOf = (body: Made): Answer => ({ status, headers: {}, body });
  const answer = await answerOnce(
    request,
    null,
    async (claim) => answerOf(await work(claim === null ? undefined : { claim, answerOf })),
    keeping,
  );
  return sendAnswer(reply, answer);
}

async function workOn(claim: OnceClaim, once: OnceRepository, work: Work, keeps: boolean): Promise<Answer> {
  const renewing = setInterval(() => void once.renew(claim).catch(() => {}), RENEW_MS);
  try {
    const answer = await work(claim);
    if (keeps) await once.keep(claim, answer);
    return answer;
  } catch (error) {
    // Where this fails too the claim ends with its lease.
    await once.release(claim).catch(() => {});
    throw error;
  } finally {
    clearInterval(renewing);
  }
}

/** The claim, or the answer that there is. */
async function claimed(
  once: OnceRepository,
  key: string,
  fingerprint: string,
  isGone: () => boolean,
): Promise<{ readonly claim: OnceClaim } | { readonly answer: Answer }> {
  const giveUpMs = performance.now() + WAIT_MS;
  for (;;) {
    const known = await once.claim(key, fingerprint);
    if (known.state === 'claimed' || known.state === 'answered') return known;
    if (known.state === 'other') throw reused(key);
    if (performance.now() > giveUpMs || isGone()) throw stillRunning(key);
    await sleep(POLL_MS);
  }
}

function reused(key: string): TritforgeError {
  return new TritforgeError('IDEMPOTENCY_KEY_REUSED', `The idempotency key "${key}" was sent with another request`, {
    field: 'idempotency-key',
    remediation: 'Send a new key with each new request, and the old key with nothing but the same request.',
  });
}

function stillRunning(key: string): TritforgeError {
  return new TritforgeError('IDEMPOTENCY_IN_PROGRESS', `A request with the idempotency key "${key}" is at work`, {
    field: 'idempotency-key',
    remediation: 'Send the request again in a while to get its answer.',
  });
}
