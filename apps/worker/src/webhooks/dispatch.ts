/** Sends messages to webhooks (Standard Webhooks 1.0): signed, and again, later and later, until they are received. */
import type { DeliveryQueue, DueDelivery } from '@tritforge/store';
import type { Span, Telemetry } from '@tritforge/telemetry';
import type { Logger } from 'pino';
import { Webhook } from 'standardwebhooks';
import type { WorkerMetrics } from '../metrics/worker-metrics.js';
import { type Answer, type SendOptions, send } from './send.js';

const MINUTE = 60;
const HOUR = 60 * MINUTE;
/** Seconds after each attempt that failed, as the specification proposes: nine retries over three and a half days. */
export const RETRY_SECONDS = [
  5,
  5 * MINUTE,
  30 * MINUTE,
  2 * HOUR,
  5 * HOUR,
  10 * HOUR,
  14 * HOUR,
  20 * HOUR,
  24 * HOUR,
];
/** Retries of many webhooks that failed together spread by so much of their delay. */
const JITTER = 0.1;
const GONE = 410;
/** Messages on their way at once. */
const AT_ONCE = 20;

export interface DispatchDeps {
  readonly deliveries: DeliveryQueue;
  readonly logger: Logger;
  readonly options: SendOptions;
  readonly metrics: WorkerMetrics;
  readonly telemetry: Telemetry;
  /** Begins no further messages. */
  readonly signal: AbortSignal;
  /** In [0, 1). */
  readonly random?: () => number;
}

/** Writes messages for what has happened, and sends those whose time has come. A receiver that does not answer holds up no other. */
export async function dispatchWebhooks(deps: DispatchDeps): Promise<void> {
  const { deliveries, signal } = deps;
  while (!signal.aborted && (await deliveries.fanOut()) > 0);
  const underWay = new Set<Promise<void>>();
  let failure: unknown;
  const begin = (delivery: DueDelivery) => {
    const sending = attempt(delivery, deps)
      .catch((error: unknown) => {
        failure = error;
      })
      .finally(() => underWay.delete(sending));
    underWay.add(sending);
  };
  while (!signal.aborted && failure === undefined) {
    for (const delivery of await deliveries.due(AT_ONCE - underWay.size)) begin(delivery);
    if (underWay.size === 0) break;
    await Promise.race(underWay);
  }
  await Promise.all(underWay);
  if (failure !== undefined) throw failure;
}

async function attempt(
  delivery: DueDelivery,
  { deliveries, logger, options, metrics, telemetry, random = Math.random }: DispatchDeps,
) {
  const { id, webhookId, url, payload, attempt: count } = delivery;
  const span = beginSpan(telemetry, delivery);
  const answer = await send(url, { ...signedHeaders(delivery), ...traceHeader(span) }, payload, options);
  const isReceived = 'status' in answer && answer.status >= 200 && answer.status < 300;
  endSpan(span, answer, isReceived);
  metrics.webhookSent(isReceived ? 'received' : 'failed');
  if (isReceived) return deliveries.succeeded(id, answer.status);
  const status = 'status' in answer ? answer.status : null;
  const error = 'error' in answer ? answer.error : null;
  const seconds = RETRY_SECONDS[count - 1];
  const wanted = 'status' in answer ? Number(answer.retryAfter ?? 0) || 0 : 0;
  const isLast = seconds === undefined || status === GONE;
  const retryAfterSeconds = isLast ? null : Math.max(seconds * (1 + JITTER * random()), Math.min(wanted, 24 * HOUR));
  logger.info(
    { delivery: id, webhook: webhookId, status, error, attempt: count, retryAfterSeconds, ...span.logFields },
    'webhook failed',
  );
  if (status === GONE) await deliveries.gone(delivery, status);
  else await deliveries.failed(id, { status, error, retryAfterSeconds });
}

/** Not the address, parts of which are often secret. */
function beginSpan(telemetry: Telemetry, { id, webhookId, attempt, traceContext }: DueDelivery): Span {
  return telemetry.begin('POST webhook', traceContext, {
    kind: 'client',
    attributes: {
      'http.request.method': 'POST',
      'http.request.resend_count': attempt - 1,
      'tritforge.webhook.id': webhookId,
      'tritforge.delivery.id': id,
    },
  });
}

function endSpan(span: Span, answer: Answer, isReceived: boolean): void {
  const status = 'status' in answer ? answer.status : undefined;
  span.set({ 'http.response.status_code': status });
  if (!isReceived) span.fail(status === undefined ? 'NO_ANSWER' : String(status));
  span.end();
}

/** The receiver may go on with the trace. What else systems for tracing say to each other is not for strangers. */
function traceHeader({ context }: Span): Record<string, string> {
  return context === null ? {} : { traceparent: context.traceparent };
}

/** One signature for each secret: a receiver accepts a message when one of them is right. */
function signedHeaders({ id, payload, secrets }: DueDelivery): Record<string, string> {
  const now = new Date();
  return {
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
    'webhook-signature': secrets.map((secret) => new Webhook(secret).sign(id, now, payload)).join(' '),
  };
}
