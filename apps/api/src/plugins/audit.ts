import type { AuditLog } from '@tritforge/store';
import type { FastifyInstance } from 'fastify';

const LOOKS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

const TOO_MANY_REQUESTS = 429;

/**
 * Notes who changed what, or tried to, when the request was answered. What comes without a valid key, or more often than a key may, is in
 * the log of the process alone: it must not fill the database. Call it before routes are added.
 */
export function keepAudit(app: FastifyInstance, audit: AuditLog): void {
  app.addHook('onResponse', async (request, reply) => {
    const { access, routeOptions, method } = request;
    if (LOOKS.has(method) || access === null || reply.statusCode === TOO_MANY_REQUESTS) return;
    const written = audit.record({
      projectId: access.projectId,
      keyId: access.key?.id ?? null,
      action: (routeOptions.schema as { operationId?: string } | undefined)?.operationId ?? method,
      target: request.url.split('?', 1)[0]!,
      status: reply.statusCode,
      requestId: request.id,
      address: request.ip,
    });
    // The request is over, also for the log of the process, which says how long it took.
    written.catch((error) => request.log.error({ err: error }, 'the request is missing from the audit log'));
  });
}
