import { type ApiKey, TritforgeError } from '@tritforge/contracts';
import type { RateLimits } from '@tritforge/store';
import type { FastifyReply, FastifyRequest } from 'fastify';

/**
 * Counts a request of a key and says in headers what is left (draft-ietf-httpapi-ratelimit-headers). While the counter cannot be reached
 * requests are let through: limits protect the service, and must not end it.
 * @throws TritforgeError RATE_LIMITED
 */
export async function limitRate(
  request: FastifyRequest,
  reply: FastifyReply,
  limits: RateLimits,
  { id, prefix, limits: { requestsPerMinute } }: ApiKey,
): Promise<void> {
  if (requestsPerMinute === null) return;
  const state = await limits.take(id, requestsPerMinute).catch((error: unknown) => {
    request.log.warn({ err: error }, 'requests cannot be counted');
    return null;
  });
  if (state === null) return;
  const { isAllowed, limit, remaining, resetSeconds } = state;
  reply.headers({
    'ratelimit-policy': `"key";q=${limit};w=60`,
    ratelimit: `"key";r=${remaining};t=${resetSeconds}`,
  });
  if (isAllowed) return;
  reply.header('retry-after', String(Math.max(resetSeconds, 1)));
  throw new TritforgeError('RATE_LIMITED', `The key ${prefix}… may send ${limit} requests in a minute`, {
    remediation:
      'Send the request again after the seconds that Retry-After names; GET /jobs/{id}/events needs one request for a job.',
  });
}
