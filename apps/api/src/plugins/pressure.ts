import underPressure from '@fastify/under-pressure';
import { TritforgeError } from '@tritforge/contracts';
import type { FastifyInstance } from 'fastify';

const SAMPLE_MS = 1000;
/** Samples that still have the delay of the start itself, which compiles schemas. */
const SAMPLES_OF_START = 2;

/** Turns requests away while the event loop lags, health checks excepted. */
export async function relievePressure(app: FastifyInstance, maxEventLoopDelayMs: number): Promise<void> {
  let startedMs = Number.NEGATIVE_INFINITY;
  app.addHook('onListen', async () => {
    startedMs = performance.now();
  });
  await app.register(underPressure, {
    maxEventLoopDelay: maxEventLoopDelayMs,
    sampleInterval: SAMPLE_MS,
    pressureHandler: async (request, _reply, kind, value) => {
      if (request.url.startsWith('/health/')) return;
      if (performance.now() - startedMs < SAMPLES_OF_START * SAMPLE_MS) return;
      request.log.warn({ kind, value }, 'under pressure');
      throw new TritforgeError('SERVICE_OVERLOADED', 'The service has more requests than it can answer in time', {
        remediation: 'Send the request again after the seconds that Retry-After names.',
      });
    },
  });
}
