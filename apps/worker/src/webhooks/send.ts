import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { isIP } from 'node:net';
import { ENGINE_VERSION } from '@tritforge/quant-core/process';
import { isPublicAddress, lookupPublic, RefusedAddress } from '@tritforge/store';

/** What a receiver made of a message. */
export type Answer = { readonly status: number; readonly retryAfter: string | undefined } | { readonly error: string };

export interface SendOptions {
  /** Also to private addresses and by plain http, as for tests and closed networks. */
  readonly allowPrivate: boolean;
  readonly timeoutMs: number;
}

/**
 * Posts a message. Redirects are not followed: they could lead where messages are not sent to. What the receiver answers is not read.
 * It never throws.
 */
export async function send(
  url: string,
  headers: Readonly<Record<string, string>>,
  payload: string,
  { allowPrivate, timeoutMs }: SendOptions,
): Promise<Answer> {
  const target = URL.canParse(url) ? new URL(url) : null;
  const problem = target === null ? 'the URL is not valid' : allowPrivate ? null : problemOf(target);
  if (target === null || problem !== null) return { error: problem ?? '' };
  const request = target.protocol === 'https:' ? requestHttps : requestHttp;
  return new Promise((resolve) => {
    const body = Buffer.from(payload);
    const sent = request(
      target,
      {
        method: 'POST',
        agent: false,
        signal: AbortSignal.timeout(timeoutMs),
        headers: {
          ...headers,
          'content-type': 'application/json',
          'content-length': body.length,
          'user-agent': `Tritforge/${ENGINE_VERSION}`,
        },
        ...(!allowPrivate && { lookup: lookupPublic }),
      },
      (response) => {
        resolve({ status: response.statusCode ?? 0, retryAfter: response.headers['retry-after'] });
        response.destroy();
      },
    );
    sent.on('error', (error) => resolve({ error: messageOf(error, timeoutMs) }));
    sent.end(body);
  });
}

/** Why a URL is not sent to; names are checked when they are resolved. */
function problemOf({ protocol, hostname }: URL): string | null {
  if (protocol !== 'https:') return `the URL begins with ${protocol}//, and messages go by https alone`;
  const address = hostname.replace(/^\[(.*)\]$/, '$1');
  return isIP(address) !== 0 && !isPublicAddress(address) ? new RefusedAddress(hostname, address).message : null;
}

function messageOf(error: Error, timeoutMs: number): string {
  if (error.name === 'AbortError' || error.name === 'TimeoutError') return `no answer within ${timeoutMs / 1000} s`;
  return error.message || (error as NodeJS.ErrnoException).code || error.name;
}
