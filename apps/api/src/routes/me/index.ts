import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { ApiKey, nullable, Project, SCOPES } from '@tritforge/contracts';
import Type from 'typebox';
import type { RouteDeps } from '../../deps.js';
import { jsonResponse, problems } from '../../http/responses.js';
import { accessOf } from '../../plugins/authentication.js';

const Me = Type.Object(
  {
    project: Project,
    key: nullable(ApiKey),
    scopes: Type.Array(Type.Enum([...SCOPES])),
    used: Type.Object({
      storageBytes: Type.Object({ models: Type.Integer(), datasets: Type.Integer(), artifacts: Type.Integer() }),
      jobMinutesOfDay: nullable(Type.Number({ description: 'Of the key, in the last 24 hours; null without a key.' })),
    }),
  },
  { $id: 'Me' },
);

/** `/me` */
export const meRoutes: FastifyPluginAsyncTypebox<RouteDeps> = async (app, { store: service }) => {
  app.get(
    '/me',
    {
      config: { scope: 'any' },
      schema: {
        operationId: 'whoAmI',
        summary: 'What this key is, may do and has used',
        tags: ['service'],
        response: { 200: jsonResponse('Who asks.', Me), ...problems() },
      },
    },
    async (request, reply) => {
      const { projectId, key, scopes, store } = accessOf(request);
      const [project, storageBytes, jobMinutesOfDay] = await Promise.all([
        service.projects.byId(projectId),
        store.storageUse(),
        key === null ? null : store.jobMinutesOfDay(key.id),
      ]);
      reply.header('cache-control', 'no-store');
      return { project, key, scopes: [...scopes], used: { storageBytes, jobMinutesOfDay } };
    },
  );
};
