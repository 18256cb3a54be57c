/** A client as pipelines have them: it sends a request until it is answered, without a thought about what went wrong. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { ERROR_CODES, type ErrorCode } from '@tritforge/contracts';
import type { Random } from '@tritforge/store/testing/random';

const ATTEMPT_TIMEOUT_MS = 30_000;
/** From a whole service there is an answer long before that. */
const PATIENCE_MS = 180_000;
const PAUSE_MS = 500;
/** One in so many requests with an Idempotency-Key is sent twice at once. */
const ONE_TWICE_IN = 4;
const NO_BODY = new Set([204, 304]);

/** Sends a request. */
export type Send = (path: string, init?: RequestInit) => Promise<Response>;

/** What became of the attempts of a client. */
export interface Attempts {
  /** Requests that were sent again. */
  again: number;
  /** Answers with a status from 500, by their codes, and connections that broke. */
  readonly failures: Map<string, number>;
  /** What must not be: two answers to one request. */
  readonly differences: string[];
}

export interface BlindClient {
  readonly attempts: Attempts;
  /** Sends it to any API, again and again, until it is answered with anything that does not pass. @throws Error when nobody answers */
  readonly send: Send;
  /** The same with an Idempotency-Key on each POST; some are sent twice at once. */
  withKey(key: string): Send;
  /** Sends it once. Null when there was no answer, or one that passes. */
  once(path: string, init?: RequestInit): Promise<Response | null>;
}

export const noAttempts = (): Attempts => ({ again: 0, failures: new Map(), differences: [] });

/**
 * @param urls of all APIs of the service
 * @param attempts counts; those of several clients, where they share them
 */
export function createBlindClient(
  urls: readonly string[],
  random: Random,
  attempts: Attempts = noAttempts(),
): BlindClient {
  const count = (failure: string) => attempts.failures.set(failure, (attempts.failures.get(failure) ?? 0) + 1);

  const once = async (path: string, init: RequestInit = {}): Promise<Response | null> => {
    try {
      const response = await fetch(`${random.pick(urls)}${path}`, {
        ...init,
        signal: AbortSignal.timeout(ATTEMPT_TIMEOUT_MS),
      });
      const body = await response.arrayBuffer();
      const failure = passingFailure(response, body);
      if (failure === null) return whole(response, body);
      count(failure);
    } catch {
      count('no answer');
    }
    return null;
  };

  const send: Send = async (path, init = {}) => {
    const giveUpMs = Date.now() + PATIENCE_MS;
    for (;;) {
      const response = await once(path, init);
      if (response !== null) return response;
      if (Date.now() > giveUpMs)
        throw new Error(`${init.method ?? 'GET'} ${path} has no answer after ${PATIENCE_MS} ms`);
      attempts.again++;
      await sleep(random.below(PAUSE_MS));
    }
  };

  const withKey =
    (key: string): Send =>
    async (path, init = {}) => {
      if (init.method !== 'POST') return send(path, init);
      const keyed = { ...init, headers: { ...(init.headers as Record<string, string>), 'idempotency-key': key } };
      if (random.below(ONE_TWICE_IN) > 0) return send(path, keyed);
      const [first, second] = await Promise.all([send(path, keyed), send(path, keyed)]);
      if (!(await isSame(first, second))) attempts.differences.push(`POST ${path} had two answers with one key`);
      return first;
    };

  return { attempts, send, withKey, once };
}

/** What the answer is a failure of, where the same request may be answered otherwise later; else null. */
function passingFailure({ status }: Response, body: ArrayBuffer): string | null {
  if (status < 400) return null;
  const code = codeOf(body);
  const isRetryable = code !== null && 'retryable' in ERROR_CODES[code];
  return status >= 500 || isRetryable ? `${status} ${code ?? 'without a problem'}` : null;
}

function codeOf(body: ArrayBuffer): ErrorCode | null {
  try {
    const { code } = JSON.parse(Buffer.from(body).toString());
    return Object.hasOwn(ERROR_CODES, code) ? code : null;
  } catch {
    return null;
  }
}

/** The response with a body that has arrived. */
function whole({ status, headers }: Response, body: ArrayBuffer): Response {
  return new Response(NO_BODY.has(status) || body.byteLength === 0 ? null : body, { status, headers });
}

async function isSame(first: Response, second: Response): Promise<boolean> {
  const [one, other] = await Promise.all([first, second].map((response) => response.clone().text()));
  return isDeepStrictEqual([first.status, one], [second.status, other]);
}
