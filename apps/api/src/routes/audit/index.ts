import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { AuditEntry } from '@tritforge/contracts';
import Type from 'typebox';
import { pageBody, pageQuery, pageRequest, pageSchema } from '../../http/pagination.js';
import { jsonResponse, problems } from '../../http/responses.js';
import { accessOf } from '../../plugins/authentication.js';

/** `/audit` */
export const auditRoutes: FastifyPluginAsyncTypebox = async (app) => {
  app.get(
    '/audit',
    {
      config: { scope: 'audit:read' },
      schema: {
        operationId: 'listAudit',
        summary: 'List who changed what',
        description:
          'Every request of the project that was not a mere look, allowed or not. Those that another process of the service answered are here within a second.',
        tags: ['service'],
        querystring: Type.Object(pageQuery),
        response: {
          200: jsonResponse('A page of entries.', pageSchema(AuditEntry)),
          ...problems('QUERY_INVALID', 'CURSOR_INVALID'),
        },
      },
    },
    async (request) => pageBody(await accessOf(request).store.audit.list(pageRequest(request.query))),
  );
};
