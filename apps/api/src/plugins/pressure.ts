import underPressure from '@fastify/under-pressure';
import { TritforgeError } from '@tritforge/contracts';
import type { FastifyInstance } from 'fastify';

/** Turns requests away while the event loop lags, health checks excepted. */
export async function relievePressure(app: FastifyInstance, maxEventLoopDelayMs: number): Promise<void> {
  await app.register(underPressure, {
    maxEventLoopDelay: maxEventLoopDelayMs,
    pressureHandler: async (request, _reply, kind, value) => {
      if (request.url.startsWith('/health/')) return;
      request.log.warn({ kind, value }, 'under pressure');
      throw new TritforgeError('SERVICE_OVERLOADED', 'The service has more requests than it can answer in time', {
        remediation: 'Send the request again after the seconds that Retry-After names.',
      });
    },
  });
}
