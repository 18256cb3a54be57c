import { randomUUID } from 'node:crypto';
import { maxHeaderSize } from 'node:http';
import helmet from '@fastify/helmet';
import { TritforgeError } from '@tritforge/contracts';
import type { Telemetry } from '@tritforge/telemetry';
import fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify';
import type { ApiDeps, RouteDeps } from './deps.js';
import { sendError } from './errors.js';
import { ConnectionErrors } from './http/connection-errors.js';
import { apiMetrics } from './metrics/api-metrics.js';
import { keepAudit } from './plugins/audit.js';
import { authenticate } from './plugins/authentication.js';
import { parseJsonBodies } from './plugins/json-bodies.js';
import { MethodGuard } from './plugins/method-not-allowed.js';
import { documentApi } from './plugins/openapi.js';
import { relievePressure } from './plugins/pressure.js';
import { checkRequestHeads } from './plugins/request-checks.js';
import { endSlowClients } from './plugins/slow-clients.js';
import { validateWithTypebox } from './plugins/validation.js';
import { adminRoutes } from './routes/admin/index.js';
import { artifactRoutes } from './routes/artifacts/index.js';
import { auditRoutes } from './routes/audit/index.js';
import { datasetRoutes } from './routes/datasets/index.js';
import { eventRoutes } from './routes/events/index.js';
import { healthRoutes } from './routes/health/index.js';
import { rootRoutes } from './routes/index.js';
import { jobRoutes } from './routes/jobs/index.js';
import { KnownInputs } from './routes/jobs/known-inputs.js';
import { meRoutes } from './routes/me/index.js';
import { metricsRoutes } from './routes/metrics/index.js';
import { modelRoutes } from './routes/models/index.js';
import { directUploadRoutes } from './routes/uploads/direct.js';
import { uploadRoutes } from './routes/uploads/index.js';
import { webhookRoutes } from './routes/webhooks/index.js';
import { traceRequests } from './traces/trace-requests.js';
import { PassedChecks } from './uploads/passed-checks.js';
import { scratchDirOf } from './uploads/scratch.js';
import { UploadDesk } from './uploads/upload-desk.js';
import { VERSION } from './version.js';

/** A digest each. */
const REMEMBERED_FITS = 10_000;
/** Models, and datasets: some kilobytes each. */
const REMEMBERED_INPUTS = 1000;
/** Between two looks, at most, for connections whose head is not there in time. */
const HEAD_CHECK_MS = 30_000;

/** The HTTP service, ready to listen. Closing it ends running requests first; it closes neither the store nor the telemetry. */
export async function buildApp(
  deps: ApiDeps,
  { logger, telemetry }: { logger: FastifyBaseLogger; telemetry: Telemetry },
): Promise<FastifyInstance> {
  const { config, store } = deps;
  const slowMs = config.slowClientSeconds * 1000;
  const connections = new ConnectionErrors();
  const app = fastify({
    loggerInstance: logger,
    genReqId: () => randomUUID(),
    // Requests that come in while the service closes are still answered; readiness says that it closes.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    // Uploads may take hours; their pace is watched where they are read.
    requestTimeout: 0,
    http: {
      // A missing Host header is refused in checkRequestHeads, as a problem document.
      requireHostHeader: false,
      requestTimeout: 0,
      headersTimeout: slowMs,
      connectionsCheckingInterval: Math.min(slowMs / 2, HEAD_CHECK_MS),
    },
    exposeHeadRoutes: true,
    // What is too long for an id is answered by its route, as an id that is not there.
    routerOptions: { maxParamLength: maxHeaderSize },
    frameworkErrors: (error, request, reply) => void sendError(error, request, reply),
    clientErrorHandler: (error, socket) => connections.answer(error, socket),
  });
  traceRequests(app, telemetry);
  app.setErrorHandler((error, request, reply) => sendError(error, request, reply));
  app.setNotFoundHandler((request) => {
    throw new TritforgeError('NOT_FOUND', `There is no route ${request.method} ${request.url.split('?', 1)[0]}`, {
      remediation: 'GET / and /openapi.json list the routes.',
    });
  });
  app.server.on('request', (_request, response) => connections.note(response));
  app.addHook('onRequest', async (request, reply) => void reply.header('x-request-id', request.id));

  checkRequestHeads(app);
  validateWithTypebox(app);
  endSlowClients(app, slowMs);
  parseJsonBodies(app, config);
  await relievePressure(app, config.maxEventLoopDelayMs);
  await app.register(helmet, { contentSecurityPolicy: false });
  await documentApi(app, VERSION, config.anonymous);

  const registry = apiMetrics(app, store);
  keepAudit(app, store.audit);
  authenticate(app, store, config.anonymous);
  const methods = new MethodGuard();
  methods.collect(app);
  const routeDeps: RouteDeps = {
    ...deps,
    uploads: new UploadDesk(store, scratchDirOf(config), config),
    fits: new PassedChecks(REMEMBERED_FITS),
    inputs: new KnownInputs(REMEMBERED_INPUTS),
  };
  await app.register(rootRoutes, { version: VERSION });
  await app.register(healthRoutes, routeDeps);
  await app.register(directUploadRoutes, routeDeps);
  await app.register(uploadRoutes, routeDeps);
  await app.register(modelRoutes, routeDeps);
  await app.register(datasetRoutes, routeDeps);
  await app.register(jobRoutes, routeDeps);
  await app.register(eventRoutes, routeDeps);
  await app.register(meRoutes, routeDeps);
  await app.register(auditRoutes);
  await app.register(metricsRoutes, { registry });
  await app.register(webhookRoutes, routeDeps);
  await app.register(artifactRoutes, routeDeps);
  await app.register(adminRoutes, { queue: store.queue });
  methods.install(app);
  return app;
}
