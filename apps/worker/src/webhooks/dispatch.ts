/** Sends messages to webhooks (Standard Webhooks 1.0): signed, and again, later and later, until they are received. */
import type { DeliveryQueue, DueDelivery } from '@tritforge/store';
import type { Logger } from 'pino';
import { Webhook } from 'standardwebhooks';
import { type SendOptions, send } from './send.js';

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
const BATCH = 20;

export interface DispatchDeps {
  readonly deliveries: DeliveryQueue;
  readonly logger: Logger;
  readonly options: SendOptions;
  /** In [0, 1). */
  readonly random?: () => number;
}

/** Writes messages for what has happened, and sends those whose time has come. Returns how many were sent. */
export async function dispatchWebhooks(deps: DispatchDeps): Promise<number> {
  const { deliveries } = deps;
  while ((await deliveries.fanOut()) > 0);
  let sent = 0;
  for (;;) {
    const due = await deliveries.due(BATCH);
    await Promise.all(due.map((delivery) => attempt(delivery, deps)));
    sent += due.length;
    if (due.length < BATCH) return sent;
  }
}

async function attempt(delivery: DueDelivery, { deliveries, logger, options, random = Math.random }: DispatchDeps) {
  const { id, webhookId, url, payload, attempt: count } = delivery;
  const answer = await send(url, signedHeaders(delivery), payload, options);
  if ('status' in answer && answer.status >= 200 && answer.status < 300) return deliveries.succeeded(id, answer.status);
  const status = 'status' in answer ? answer.status : null;
  const error = 'error' in answer ? answer.error : null;
  const seconds = RETRY_SECONDS[count - 1];
  const isLast = seconds === undefined || status === GONE;
  const wanted = 'status' in answer ? Number(answer.retryAfter ?? 0) || 0 : 0;
  const retryAfterSeconds = isLast ? null : Math.max(seconds * (1 + JITTER * random()), Math.min(wanted, 24 * HOUR));
  logger.info({ delivery: id, webhook: webhookId, status, error, attempt: count, retryAfterSeconds }, 'webhook failed');
  await deliveries.failed(id, { status, error, retryAfterSeconds });
  if (status === GONE) await deliveries.disable(webhookId);
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
