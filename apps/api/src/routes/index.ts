import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { ERROR_CODES, type ErrorCode, TritforgeError } from '@tritforge/contracts';
import Type from 'typebox';
import { jsonResponse, problems } from '../http/responses.js';

const ErrorKind = Type.Object(
  { code: Type.String(), title: Type.String(), status: Type.Integer(), retryable: Type.Boolean() },
  { $id: 'ErrorKind' },
);
const tags = ['service'];

/** `/`, `/problems` and `/openapi.json` */
export const rootRoutes: FastifyPluginAsyncTypebox<{ version: string }> = async (app, { version }) => {
  app.get(
    '/',
    {
      config: { scope: 'public' },
      schema: {
        operationId: 'getIndex',
        summary: 'Where things are',
        tags,
        response: {
          200: jsonResponse(
            'Name, version and paths.',
            Type.Object({
              name: Type.String(),
              version: Type.String(),
              links: Type.Record(Type.String(), Type.String()),
            }),
          ),
          ...problems(),
        },
      },
    },
    async () => ({
      name: 'Tritforge',
      version,
      links: {
        documentation: '/docs',
        openapi: '/openapi.json',
        models: '/models',
        datasets: '/datasets',
        jobs: '/jobs',
        uploads: '/uploads',
        problems: '/problems',
        live: '/health/live',
        ready: '/health/ready',
      },
    }),
  );

  app.get(
    '/problems',
    {
      config: { scope: 'public' },
      schema: {
        operationId: 'listProblems',
        summary: 'List the error codes',
        tags,
        response: { 200: jsonResponse('Every code.', Type.Object({ items: Type.Array(ErrorKind) })), ...problems() },
      },
    },
    async () => ({ items: (Object.keys(ERROR_CODES) as ErrorCode[]).map(errorKind) }),
  );

  app.get(
    '/problems/:code',
    {
      config: { scope: 'public' },
      schema: {
        operationId: 'getProblem',
        summary: 'Get an error code',
        description: 'The `type` of a problem document leads here.',
        tags,
        params: Type.Object({ code: Type.String() }),
        response: { 200: jsonResponse('The code.', ErrorKind), ...problems('NOT_FOUND') },
      },
    },
    async ({ params: { code } }) => {
      if (Object.hasOwn(ERROR_CODES, code)) return errorKind(code as ErrorCode);
      throw new TritforgeError('NOT_FOUND', `There is no error code ${code.slice(0, 64)}`, {
        field: 'code',
        remediation: 'GET /problems lists them all.',
      });
    },
  );

  app.get(
    '/openapi.json',
    {
      config: { scope: 'public' },
      schema: {
        operationId: 'getOpenapi',
        summary: 'This document',
        tags,
        response: {
          200: jsonResponse('OpenAPI 3.1.', Type.Object({ openapi: Type.String() }, { additionalProperties: true })),
          ...problems(),
        },
      },
    },
    async () => app.swagger(),
  );
};

function errorKind(code: ErrorCode) {
  const { title, status, ...rest } = ERROR_CODES[code];
  return { code, title, status, retryable: 'retryable' in rest };
}
