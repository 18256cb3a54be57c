/** Webhooks (Standard Webhooks 1.0): where the events of a project are sent to. */
import Type, { type Static } from 'typebox';
import { idSchema } from './ids.js';
import { nullable } from './nullable.js';

const Timestamp = Type.String({ format: 'date-time' });

/** What webhooks are told: the states of jobs. */
export const WEBHOOK_EVENTS = [
  'job.queued',
  'job.running',
  'job.succeeded',
  'job.failed',
  'job.canceled',
  'job.expired',
] as const;
export type WebhookEvent = (typeof WEBHOOK_EVENTS)[number];

const url = Type.String({
  maxLength: 2048,
  pattern: '^https?://',
  description: 'https, or http where the operator allows private addresses.',
});

/** The body of `POST /webhooks`. */
export const WebhookRequest = Type.Object(
  {
    url,
    eventTypes: Type.Optional(
      Type.Array(Type.Enum([...WEBHOOK_EVENTS]), {
        uniqueItems: true,
        description: 'What it is told; the ends of jobs when left out.',
      }),
    ),
    description: Type.Optional(Type.String({ maxLength: 255 })),
  },
  { additionalProperties: false, $id: 'WebhookRequest' },
);
export type WebhookRequest = Static<typeof WebhookRequest>;

export const Webhook = Type.Object(
  {
    id: idSchema('webhook'),
    url: Type.String(),
    eventTypes: Type.Array(Type.Enum([...WEBHOOK_EVENTS])),
    description: Type.String(),
    createdAt: Timestamp,
    disabledAt: nullable(
      Type.String({ format: 'date-time', description: 'When its receiver said that it is gone (410).' }),
    ),
  },
  { $id: 'Webhook' },
);
export type Webhook = Static<typeof Webhook>;

/** A webhook with the secret that it signs with, which is shown when it is made or rotated and never again. */
export const WebhookWithSecret = Type.Object(
  { ...Webhook.properties, secret: Type.String({ description: '`whsec_` and base64.' }) },
  { $id: 'WebhookWithSecret' },
);
export type WebhookWithSecret = Static<typeof WebhookWithSecret>;

export const WebhookDelivery = Type.Object(
  {
    id: idSchema('delivery'),
    type: Type.String({ description: 'Of the event; `webhook.test` for a test.' }),
    state: Type.Enum(['pending', 'delivered', 'failed']),
    attempts: Type.Integer(),
    nextAttemptAt: nullable(Timestamp),
    lastStatus: nullable(Type.Integer({ description: 'That the receiver answered last.' })),
    lastError: nullable(Type.String({ description: 'Why there was no answer.' })),
    createdAt: Timestamp,
    deliveredAt: nullable(Timestamp),
    payload: Type.String({ description: 'The body, as it is signed.' }),
  },
  { $id: 'WebhookDelivery' },
);
export type WebhookDelivery = Static<typeof WebhookDelivery>;
