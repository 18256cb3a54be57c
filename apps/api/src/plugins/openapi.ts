import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import { TritforgeError } from '@tritforge/contracts';
import type { FastifyInstance, FastifyRequest, FastifySchema, RouteOptions } from 'fastify';
import type { ApiConfig } from '../config.js';
import { BODY_ERRORS } from '../http/error-groups.js';
import { hoistSchemas, nameSchemas } from '../http/hoist-schemas.js';
import { withProblems } from '../http/responses.js';
import { type RouteScope, scopesOf } from './authentication.js';

/** The pages load nothing from elsewhere, and work over plain HTTP too. */
const CONTENT_SECURITY_POLICY = {
  'default-src': ["'self'"],
  'img-src': ["'self'", 'data:'],
  'style-src': ["'self'", "'unsafe-inline'"],
  'frame-ancestors': ["'none'"],
};

/** Serves the OpenAPI 3.1 document, made of the schemas that validate, and its human form. Call it before the routes. */
export async function documentApi(
  app: FastifyInstance,
  version: string,
  anonymous: ApiConfig['anonymous'],
): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Tritforge',
        version,
        description: 'ONNX in, smaller and faster ONNX out, with the measurements that prove it.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: '/' }],
      components: {
        securitySchemes: {
          apiKey: {
            type: 'http',
            scheme: 'bearer',
            description: 'An API key, `tf_…`. Operations name the scope that it needs.',
          },
        },
      },
      tags: [
        { name: 'uploads', description: 'Large files in pieces, by the tus protocol 1.0 or straight to the bucket.' },
        { name: 'models', description: 'Models to quantize, identified by their bytes.' },
        { name: 'datasets', description: 'Samples for calibration, evaluation and training.' },
        { name: 'jobs', description: 'Quantization, from the request to the report.' },
        { name: 'events', description: 'What jobs do, as it happens.' },
        { name: 'webhooks', description: 'Events that are sent to a URL.' },
        { name: 'artifacts', description: 'Quantized models.' },
        { name: 'service', description: 'Health, error codes, documentation.' },
      ],
    },
    transform: ({ schema, url, route }) => ({
      schema: nameSchemas(
        withSecurity(withBodyProblems(withOwnName(schema ?? {}), route.method), route.config?.scope, anonymous),
      ),
      url,
    }),
    transformObject: (document) => hoistSchemas('openapiObject' in document ? document.openapiObject : {}),
  });
  // Made once, before the first request would have to wait for it.
  app.addHook('onReady', async () => void app.swagger());
  await app.register(async (pages) => {
    pages.addHook('onRequest', refuseNul);
    await pages.register(swaggerUi, { routePrefix: '/docs', staticCSP: CONTENT_SECURITY_POLICY });
  });
}

/** What serves the files fails at it. */
async function refuseNul({ url }: FastifyRequest): Promise<void> {
  if (url.includes('%00')) {
    throw new TritforgeError('NOT_FOUND', 'No page has a name with NUL', { remediation: 'Begin at /docs.' });
  }
}

/** The plugin takes a HEAD for the twin of a GET and marks its name. Those that are shown have none. */
function withOwnName(schema: FastifySchema): FastifySchema {
  const { operationId } = schema as { operationId?: string };
  return operationId === undefined ? schema : { ...schema, ...{ operationId: operationId.replace(/-head$/, '') } };
}

/** What a route says of bodies where its method has some, also where it takes none. */
function withBodyProblems(schema: FastifySchema, method: RouteOptions['method']): FastifySchema {
  const { response } = schema as { response?: Record<number, object> };
  if (response === undefined || [method].flat().every((name) => name === 'GET' || name === 'HEAD')) return schema;
  return { ...schema, response: withProblems(response, ...BODY_ERRORS) };
}

/** What a route that asks for a scope says of keys. */
function withSecurity(
  schema: FastifySchema,
  scope: RouteScope | undefined,
  anonymous: ApiConfig['anonymous'],
): FastifySchema {
  const { hide = false, response = {} } = schema as { hide?: boolean; response?: Record<number, object> };
  if (hide || scope === undefined || scope === 'public') return schema;
  return {
    ...schema,
    security: [
      ...(scope === 'any' ? [{ apiKey: [] }] : scopesOf(scope).map((one) => ({ apiKey: [one] }))),
      ...(anonymous === 'never' ? [] : [{}]),
    ],
    response: withProblems(response, 'UNAUTHENTICATED', 'SCOPE_MISSING', 'RATE_LIMITED'),
  };
}
