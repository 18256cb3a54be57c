import { randomBytes } from 'node:crypto';
import {
  newId,
  TritforgeError,
  type Webhook,
  type WebhookDelivery,
  type WebhookEvent,
  type WebhookRequest,
  type WebhookWithSecret,
} from '@tritforge/contracts';
import { type Database, Prisma, storableText } from '../database.js';
import type { WebhookDelivery as DeliveryRow, PrismaClient, Webhook as Row } from '../generated/client.js';
import { keepAnswer, type Once } from '../once/once.js';
import { type Page, type PageRequest, readPage } from '../repositories/page.js';
import { projectOf, type Reach } from '../repositories/reach.js';

/** The webhooks of a project, for whoever sets them up. */
export interface WebhookRepository {
  /** @param once its answer is kept in the same transaction. @throws TritforgeError IDEMPOTENCY_IN_PROGRESS where the claim has gone to another request */
  create(request: WebhookRequest, once?: Once<WebhookWithSecret>): Promise<WebhookWithSecret>;
  get(id: string): Promise<Webhook | null>;
  /** @throws TritforgeError CURSOR_INVALID */
  list(page?: PageRequest): Promise<Page<Webhook>>;
  /** With its deliveries. @throws TritforgeError WEBHOOK_NOT_FOUND */
  delete(id: string): Promise<void>;
  /** A new secret; the former one signs as well for a day. @param once as for `create`. @throws TritforgeError WEBHOOK_NOT_FOUND */
  rotate(id: string, once?: Once<WebhookWithSecret>): Promise<WebhookWithSecret>;
  /** Sends a `webhook.test`. @throws TritforgeError WEBHOOK_NOT_FOUND */
  test(id: string): Promise<WebhookDelivery>;
  /** Newest first. @throws TritforgeError WEBHOOK_NOT_FOUND, CURSOR_INVALID */
  deliveries(id: string, page?: PageRequest): Promise<Page<WebhookDelivery>>;
  /** Sends the same message again, under the same id. @throws TritforgeError DELIVERY_NOT_FOUND */
  replay(id: string, deliveryId: string): Promise<WebhookDelivery>;
}

const ENDS: readonly WebhookEvent[] = ['job.succeeded', 'job.failed', 'job.canceled', 'job.expired'];
const SECRET_BYTES = 24;
const CHANGE_OVER_MS = 24 * 3600 * 1000;

export function createWebhookRepository(db: PrismaClient, reach: Reach): WebhookRepository {
  const find = async (id: string): Promise<Row> => {
    const row = await db.webhook.findFirst({ where: { id, ...reach } });
    if (row) return row;
    throw new TritforgeError('WEBHOOK_NOT_FOUND', `There is no webhook ${id}.`, {
      remediation: 'GET /webhooks lists what there is.',
    });
  };
  /** Writes a secret and keeps the answer that shows it: whoever asks again must get the one that signs. */
  const withNewSecret = (
    once: Once<WebhookWithSecret> | undefined,
    write: (tx: Database, secret: string) => Promise<Row>,
  ): Promise<WebhookWithSecret> =>
    db.$transaction(async (tx) => {
      const secret = newSecret();
      const made = { ...toWebhook(await write(tx, secret)), secret };
      if (once !== undefined) await keepAnswer(tx, once.claim, once.answerOf(made));
      return made;
    });
  return {
    create: ({ url, eventTypes = ENDS, description = '' }, once) => {
      const data = {
        id: newId('webhook'),
        projectId: projectOf(reach),
        url,
        eventTypes: [...eventTypes],
        description: storableText(description),
      };
      return withNewSecret(once, (tx, secret) => tx.webhook.create({ data: { ...data, secret } }));
    },
    get: async (id) => {
      const row = await db.webhook.findFirst({ where: { id, ...reach } });
      return row && toWebhook(row);
    },
    list: async (request = {}) => {
      const page = await readPage(request, (take, where) =>
        db.webhook.findMany({ where: { ...where, ...reach }, orderBy: { id: 'desc' }, take }),
      );
      return { ...page, items: page.items.map(toWebhook) };
    },
    delete: async (id) => {
      await find(id);
      await db.webhook.deleteMany({ where: { id } });
    },
    rotate: async (id, once) => {
      const { secret: formerSecret } = await find(id);
      const former = { formerSecret, formerUntil: new Date(Date.now() + CHANGE_OVER_MS) };
      return withNewSecret(once, (tx, secret) => tx.webhook.update({ where: { id }, data: { secret, ...former } }));
    },
    test: async (id) => {
      await find(id);
      const payload = JSON.stringify({
        type: 'webhook.test',
        timestamp: new Date().toISOString(),
        data: { webhookId: id },
      });
      const data = { id: newId('delivery'), webhookId: id, type: 'webhook.test', payload };
      return toDelivery(await db.webhookDelivery.create({ data }));
    },
    deliveries: async (id, request = {}) => {
      await find(id);
      const page = await readPage(request, (take, where) =>
        db.webhookDelivery.findMany({ where: { ...where, webhookId: id }, orderBy: { id: 'desc' }, take }),
      );
      return { ...page, items: page.items.map(toDelivery) };
    },
    replay: async (id, deliveryId) => {
      await find(id);
      const again = Prisma.sql`state = 'pending', attempts = 0, next_attempt_at = clock_timestamp(), lease_until = NULL, delivered_at = NULL`;
      await db.$executeRaw`UPDATE webhook_deliveries SET ${again} WHERE id = ${deliveryId} AND webhook_id = ${id}`;
      const row = await db.webhookDelivery.findFirst({ where: { id: deliveryId, webhookId: id } });
      if (row) return toDelivery(row);
      throw new TritforgeError('DELIVERY_NOT_FOUND', `The webhook ${id} has no delivery ${deliveryId}.`, {
        remediation: 'GET /webhooks/{id}/deliveries lists what there is.',
      });
    },
  };
}

/** As Standard Webhooks has them: 24 to 64 random bytes in base64. */
function newSecret(): string {
  return `whsec_${randomBytes(SECRET_BYTES).toString('base64')}`;
}

function toWebhook({ id, url, eventTypes, description, createdAt, disabledAt }: Row): Webhook {
  return {
    id,
    url,
    eventTypes: eventTypes as WebhookEvent[],
    description,
    createdAt: createdAt.toISOString(),
    disabledAt: disabledAt?.toISOString() ?? null,
  };
}

function toDelivery(row: DeliveryRow): WebhookDelivery {
  const { id, type, state, attempts, nextAttemptAt, lastStatus, lastError, createdAt, deliveredAt, payload } = row;
  return {
    id,
    type,
    state,
    attempts,
    nextAttemptAt: state === 'pending' ? nextAttemptAt.toISOString() : null,
    lastStatus,
    lastError,
    createdAt: createdAt.toISOString(),
    deliveredAt: deliveredAt?.toISOString() ?? null,
    payload,
  };
}
