import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { TritforgeError } from '@tritforge/contracts';
import Type from 'typebox';
import type { RouteDeps } from '../../deps.js';
import { jsonResponse, problems } from '../../http/responses.js';

const Live = Type.Object({ status: Type.Literal('live') }, { $id: 'Live' });
const Ready = Type.Object(
  {
    status: Type.Literal('ready'),
    checks: Type.Array(
      Type.Object({
        name: Type.Enum(['database', 'queue', 'blobs']),
        ok: Type.Boolean(),
        durationMs: Type.Number(),
        message: Type.Union([Type.String(), Type.Null()]),
      }),
    ),
  },
  { $id: 'Ready' },
);
const tags = ['service'];

/** `/health` */
export const healthRoutes: FastifyPluginAsyncTypebox<RouteDeps> = async (app, { store }) => {
  app.get(
    '/health/live',
    {
      logLevel: 'warn',
      config: { scope: 'public' },
      schema: {
        operationId: 'isLive',
        summary: 'Whether the process answers',
        tags,
        response: { 200: jsonResponse('It does.', Live), ...problems() },
      },
    },
    async () => ({ status: 'live' as const }),
  );

  app.get(
    '/health/ready',
    {
      logLevel: 'warn',
      config: { scope: 'public' },
      schema: {
        operationId: 'isReady',
        summary: 'Whether database, queue and file storage can be reached',
        tags,
        response: { 200: jsonResponse('All can.', Ready), ...problems() },
      },
    },
    async (_request, reply) => {
      reply.header('cache-control', 'no-store');
      const checks = await store.ping();
      const failed = checks.filter(({ ok }) => !ok);
      if (failed.length > 0) {
        throw new TritforgeError(
          'SERVICE_UNAVAILABLE',
          failed.map(({ name, message }) => `${name}: ${message ?? 'no answer'}`).join('; '),
          { remediation: 'Try again later; the operator can see the reason in the log.' },
        );
      }
      return { status: 'ready' as const, checks };
    },
  );
};
