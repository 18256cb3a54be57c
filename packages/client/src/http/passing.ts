import { TritforgeError } from '@tritforge/contracts';
import { ProblemError } from '../problem-error.js';
import { retryAfterMs } from './retry-after.js';
import { UnreadableFile } from './streamed-body.js';

/** A failure that passes: the same request may succeed in a while. */
export class Passing extends Error {
  override readonly name = 'Passing';
  /** What the caller is told when it has not passed in time. */
  readonly failure: Error;
  /** The least time until the next attempt that the service asks for, in milliseconds. */
  readonly retryAfterMs: number;

  constructor(failure: Error, headers?: Headers) {
    super(failure.message);
    this.failure = failure;
    this.retryAfterMs = headers === undefined ? 0 : retryAfterMs(headers.get('retry-after'), Date.now());
  }
}

const PASSING_STATUSES: ReadonlySet<number> = new Set([408, 423, 429, 502, 503, 504]);
/** Of other statuses: an earlier attempt is still at work, or not all of its bytes arrived. */
const PASSING_CODES: ReadonlySet<string> = new Set([
  'IDEMPOTENCY_IN_PROGRESS',
  'UPLOAD_INCOMPLETE',
  'UPLOAD_OFFSET_MISMATCH',
]);

/** The error that an answer stands for; a {@link Passing} one where it passes. Reads the body. */
export async function failureOf(response: Response, url: string): Promise<Error> {
  const error = await errorOf(response, url);
  const passes =
    PASSING_STATUSES.has(response.status) || (error instanceof ProblemError && PASSING_CODES.has(error.code));
  return passes ? new Passing(error, response.headers) : error;
}

async function errorOf(response: Response, url: string): Promise<Error> {
  const problem = await problemOf(response);
  const { status, headers } = response;
  return problem === null
    ? notTheService(url, `answered ${status} without a problem document`)
    : new ProblemError(problem, status, headers.get('x-request-id'));
}

async function problemOf(response: Response): Promise<ProblemError['problem'] | null> {
  const text = await response.text();
  if (!response.headers.get('content-type')?.startsWith('application/problem+json')) return null;
  try {
    const problem = JSON.parse(text);
    return typeof problem.code === 'string' && typeof problem.detail === 'string' ? problem : null;
  } catch {
    return null;
  }
}

/** What answers is something else than the service, such as a proxy before it. */
export function notTheService(url: string, what: string): TritforgeError {
  return new TritforgeError('ANSWER_INVALID', `${url} ${what}`, {
    remediation: 'Check the address of the service; a proxy before it may answer in its place.',
  });
}

/**
 * What a call of fetch, or the reading of an answer, failed with, in our terms: a {@link Passing} error where no connection came about or
 * one broke, else the error as it is.
 */
export function connectionFailure(error: unknown, url: string): unknown {
  const isTimeout = error instanceof DOMException && error.name === 'TimeoutError';
  // What fetch makes of all that goes wrong on the network.
  const isBroken = error instanceof TypeError && (error.message === 'fetch failed' || error.message === 'terminated');
  if (!isTimeout && !isBroken) return error;
  const cause = error.cause as (Error & { code?: string }) | undefined;
  if (cause instanceof UnreadableFile) return cause.cause;
  if (cause?.message === 'unexpected redirect') return notTheService(url, 'redirects to another address');
  const reason = isTimeout ? 'it does not answer' : reasonOf(cause) || error.message;
  const failure = new TritforgeError('SERVICE_UNREACHABLE', `No connection to ${url}: ${reason}`, {
    remediation: 'Check the address, and whether the service runs.',
    cause: error,
  });
  return isOfCertificate(cause?.code) ? failure : new Passing(failure);
}

/** Addresses of a name that were all refused make an error without a message. */
function reasonOf(cause: (Error & { code?: string; errors?: readonly Error[] }) | undefined): string | undefined {
  return cause?.message || cause?.errors?.[0]?.message || cause?.code;
}

/** Such as CERT_HAS_EXPIRED, DEPTH_ZERO_SELF_SIGNED_CERT and ERR_TLS_CERT_ALTNAME_INVALID: they stay. */
function isOfCertificate(code: string | undefined): boolean {
  return code !== undefined && /CERT|_TLS_|_SSL_/.test(code);
}
