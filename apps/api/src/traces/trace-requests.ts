import type { IncomingMessage, ServerResponse } from 'node:http';
import { NO_SPAN, type Span, type Telemetry } from '@tritforge/telemetry';
import type { FastifyInstance, FastifyRequest } from 'fastify';

/** What probes and scrapers ask for all the time, and nobody looks for. */
const UNTRACED = /^\/(health\/|metrics$|metrics\?)/;

/** By request, as frameworks below ours make requests of their own for what they refuse. */
const spans = new WeakMap<IncomingMessage, Span>();

/** The span of a request; one that does nothing where it is not traced. */
export function spanOf({ raw }: Pick<FastifyRequest, 'raw'>): Span {
  return spans.get(raw) ?? NO_SPAN;
}

/**
 * Makes a span of each request, as a part of the trace that its header `traceparent` names. Lines of the log carry it from the first one on.
 * Neither addresses nor queries nor other headers become part of it. Call it before anything else is added.
 */
export function traceRequests(app: FastifyInstance, telemetry: Telemetry): void {
  if (!telemetry.isOn) return;
  // The logger is what is made first for a request.
  app.setChildLoggerFactory((logger, bindings, options, raw) => {
    if (UNTRACED.test(raw.url ?? '')) return logger.child(bindings, options);
    const span = beginSpan(telemetry, raw);
    spans.set(raw, span);
    return logger.child({ ...bindings, ...span.logFields }, options);
  });
  app.addHook('onRequest', async (request, reply) => {
    const span = spanOf(request);
    if (span === NO_SPAN) return;
    const { method, id, routeOptions } = request;
    // Routes, not paths: ids would make a name of each.
    if (routeOptions.url !== undefined) span.rename(`${method} ${routeOptions.url}`);
    span.set({ 'http.route': routeOptions.url, 'tritforge.request.id': id });
    reply.raw.once('close', () => endSpan(span, request, reply.raw));
  });
}

function beginSpan(telemetry: Telemetry, { method = '', url = '', headers }: IncomingMessage): Span {
  const { traceparent, tracestate } = headers;
  const state = typeof tracestate === 'string' ? { tracestate } : {};
  return telemetry.begin(method, typeof traceparent === 'string' ? { traceparent, ...state } : null, {
    kind: 'server',
    attributes: { 'http.request.method': method, 'url.scheme': 'http', 'url.path': url.split('?', 1)[0] },
  });
}

/** An answer that was cut off is none that failed: streams of events end so. */
function endSpan(span: Span, { access }: FastifyRequest, response: ServerResponse): void {
  const { headersSent, statusCode, writableFinished } = response;
  span.set({
    'http.response.status_code': headersSent ? statusCode : undefined,
    'tritforge.answer.cut': writableFinished ? undefined : true,
    'tritforge.project.id': access?.projectId,
    'tritforge.key.id': access?.key?.id,
  });
  span.end();
}
