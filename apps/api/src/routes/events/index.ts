import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { idSchema, isTerminal } from '@tritforge/contracts';
import Type from 'typebox';
import type { RouteDeps } from '../../deps.js';
import { afterQuery, lastEventId, lastEventIdHeader } from '../../events/last-event-id.js';
import { StreamDesk } from '../../events/stream-desk.js';
import { lookUp } from '../../http/lookup.js';
import { emptyResponse, problems } from '../../http/responses.js';
import { accessOf } from '../../plugins/authentication.js';

const tags = ['events'];
const config = { scope: 'jobs:read' } as const;
const FORMAT =
  'Server-sent events: `job.queued`, `job.running`, `job.phase`, `job.succeeded`, `job.failed`, `job.canceled` and `job.expired`, each ' +
  'with an id and, as JSON, `id`, `type`, `jobId`, `at`, `state`, `previousState` and `phase`. Who connects again with Last-Event-ID misses none.';

/** `/events` and `/jobs/{id}/events` */
export const eventRoutes: FastifyPluginAsyncTypebox<RouteDeps> = async (app, deps) => {
  const { store, config: settings } = deps;
  const desk = new StreamDesk(app, { watch: store.watch, keys: store.keys, maxStreams: settings.maxEventStreams });

  app.get(
    '/events',
    {
      config,
      exposeHeadRoute: false,
      schema: {
        operationId: 'followJobs',
        summary: 'Follow all jobs',
        description: `${FORMAT} Without an id the stream begins now; \`after=0\` begins with the first event.`,
        tags,
        headers: lastEventIdHeader,
        querystring: afterQuery,
        response: {
          200: streamResponse('The stream, until one side ends it.'),
          ...problems('QUERY_INVALID', 'HEADER_INVALID'),
        },
      },
    },
    async (request, reply) => {
      const { events } = accessOf(request).store;
      const afterId = lastEventId(request.headers, request.query.after) ?? (await events.newestId());
      return desk.open(request, reply, afterId);
    },
  );

  app.get(
    '/jobs/:id/events',
    {
      config,
      exposeHeadRoute: false,
      schema: {
        operationId: 'followJob',
        summary: 'Follow a job',
        description: `${FORMAT} Between them \`job.progress\`, without an id, says how far the phase is. The stream ends with the job.`,
        tags,
        params: Type.Object({ id: idSchema('job') }),
        headers: lastEventIdHeader,
        querystring: afterQuery,
        response: {
          200: streamResponse('The stream, from the first event on, until the job has ended.'),
          204: emptyResponse(
            'The job has ended and there is nothing after that event; clients need not connect again.',
          ),
          ...problems('JOB_NOT_FOUND', 'QUERY_INVALID', 'HEADER_INVALID'),
        },
      },
    },
    async (request, reply) => {
      const { jobs, events } = accessOf(request).store;
      const afterId = lastEventId(request.headers, request.query.after) ?? '0';
      const job = await lookUp('job', request.params.id, (id) => jobs.get(id));
      const isOver = isTerminal(job.state) && (await events.read({ jobId: job.id }, afterId)).length === 0;
      return isOver ? reply.status(204).send() : desk.open(request, reply, afterId, job.id);
    },
  );
};

function streamResponse(description: string): object {
  return { description, content: { 'text/event-stream': { schema: { type: 'string' } } } };
}
