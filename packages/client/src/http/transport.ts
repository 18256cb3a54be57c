import { randomUUID } from 'node:crypto';
import type { ClientOptions } from '../options.js';
import { Backoff } from './backoff.js';
import { exchange } from './exchange.js';
import { failureOf, notTheService } from './passing.js';
import type { StreamedBody } from './streamed-body.js';

const RETRY_MS = 120_000;

/** A request to the service. */
export interface ServiceRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PATCH' | 'DELETE';
  /** With its query, from `/`. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | StreamedBody;
  /** Statuses from 300 that are answers and no failures. */
  readonly accepts?: readonly number[];
  /** How long one attempt may take with its answer, in milliseconds. */
  readonly timeoutMs?: number;
  /** In place of that of the client. */
  readonly retryMs?: number | undefined;
  /** On the clock of `performance.now()`: no attempt after a failure begins later. */
  readonly latestMs?: number | undefined;
  readonly idempotencyKey?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Sends requests, and sends them again while their failures pass. */
export class Transport {
  /** Of the service, without a slash at its end. */
  readonly url: string;
  readonly retryMs: number;
  readonly #headers: Readonly<Record<string, string>>;

  /** @throws TypeError when the address or the key cannot be one; it does not repeat the key */
  constructor({ url, apiKey, retryMs = RETRY_MS }: ClientOptions) {
    this.url = addressOf(url);
    this.retryMs = retryMs;
    this.#headers = apiKey === undefined ? {} : { authorization: `Bearer ${checkedKey(apiKey)}` };
  }

  /** The JSON of the answer. @throws as {@link Transport.send} */
  json<T>(request: ServiceRequest): Promise<T> {
    return this.send(request, (response) => this.jsonOf<T>(response));
  }

  /** Sends a request whose answer has nothing to read. @throws as {@link Transport.send} */
  async done(request: ServiceRequest): Promise<void> {
    await this.send(request, async (response) => response.body?.cancel());
  }

  /**
   * Sends a request until it succeeds. Every POST carries an Idempotency-Key, so that it is done once however often it is sent.
   *
   * @param read is called with the answer, and again with that of the next attempt when the connection breaks while it reads
   * @throws ProblemError, TritforgeError SERVICE_UNREACHABLE, ANSWER_INVALID, the reason of the signal, and what `read` throws
   */
  async send<T>(request: ServiceRequest, read: (response: Response) => Promise<T>): Promise<T> {
    const backoff = new Backoff(request.retryMs ?? this.retryMs, request.signal, request.latestMs);
    const keyed = withKey(request);
    for (;;) {
      try {
        return await this.attempt(keyed, read);
      } catch (error) {
        await backoff.pause(error);
      }
    }
  }

  /** Sends a request once. @throws Passing where another attempt makes sense, and as {@link Transport.send} */
  async attempt<T>(request: ServiceRequest, read: (response: Response) => Promise<T>): Promise<T> {
    const { method, path, body, accepts = [], timeoutMs, signal } = request;
    const headers = { ...this.#headers, ...request.headers };
    const sent = { method, url: `${this.url}${path}`, place: this.url, headers, body, timeoutMs, signal };
    return exchange(sent, async (response) => {
      if (!response.ok && !accepts.includes(response.status)) throw await failureOf(response, this.url);
      return read(response);
    });
  }

  /** The JSON of an answer. @throws TritforgeError ANSWER_INVALID */
  async jsonOf<T>(response: Response): Promise<T> {
    if (!response.headers.get('content-type')?.startsWith('application/json'))
      throw notTheService(this.url, `answered ${response.status} without JSON`);
    return (await response.json()) as T;
  }
}

function withKey(request: ServiceRequest): ServiceRequest {
  if (request.method !== 'POST') return request;
  return { ...request, headers: { ...request.headers, 'idempotency-key': request.idempotencyKey ?? randomUUID() } };
}

function addressOf(url: string): string {
  const { protocol, username, password, origin, pathname, search, hash } = new URL(url);
  if ((protocol !== 'http:' && protocol !== 'https:') || username || password || search || hash)
    throw new TypeError('The address of a service begins with http:// or https://, without user, password and query.');
  return `${origin}${pathname.replace(/\/+$/, '')}`;
}

function checkedKey(apiKey: string): string {
  if (!/^[\x21-\x7e]+$/.test(apiKey)) throw new TypeError('An API key has visible ASCII characters alone.');
  return apiKey;
}
