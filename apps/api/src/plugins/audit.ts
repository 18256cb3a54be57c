import type { AuditLog } from '@tritforge/store';
import type { FastifyInstance } from 'fastify';

const LOOKS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

/** Notes who changed what, or tried to, when the request was answered. Call it before routes are added. */
export function keepAudit(app: FastifyInstance, audit: AuditLog): void {
  app.addHook('onResponse', async (request, reply) => {
    const { config, schema } = request.routeOptions;
    if (LOOKS.has(request.method) || config.scope === undefined || config.scope === 'public') return;
    try {
      await audit.record({
        projectId: request.access?.project.id ?? null,
        keyId: request.access?.key?.id ?? null,
        action: (schema as { operationId?: string } | undefined)?.operationId ?? request.method,
        target: request.url.split('?', 1)[0]!,
        status: reply.statusCode,
        requestId: request.id,
        address: request.ip,
      });
    } catch (error) {
      request.log.error({ err: error }, 'the request is missing from the audit log');
    }
  });
}
