import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { Registry } from 'prom-client';
import { problems } from '../../http/responses.js';

/** `/metrics` */
export const metricsRoutes: FastifyPluginAsyncTypebox<{ readonly registry: Registry }> = async (app, { registry }) => {
  app.get(
    '/metrics',
    {
      config: { scope: 'metrics:read' },
      logLevel: 'warn',
      schema: {
        operationId: 'getMetrics',
        summary: 'Metrics for Prometheus',
        description: 'Of this process, its requests, and the jobs of all projects.',
        tags: ['service'],
        response: {
          200: { description: 'The metrics.', content: { 'text/plain': { schema: { type: 'string' } } } },
          ...problems(),
        },
      },
    },
    async (_request, reply) => {
      const text = await registry.metrics();
      return reply.type(registry.contentType).header('cache-control', 'no-store').send(text);
    },
  );
};
