import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { idSchema, Webhook, WebhookDelivery, WebhookRequest, WebhookWithSecret } from '@tritforge/contracts';
import type { Answer, OnceClaim } from '@tritforge/store';
import type { FastifyRequest } from 'fastify';
import Type from 'typebox';
import type { RouteDeps } from '../../deps.js';
import { ONCE_ERRORS } from '../../http/error-groups.js';
import { idempotencyHeader } from '../../http/idempotency-key.js';
import { lookUp, requireId } from '../../http/lookup.js';
import { pageBody, pageQuery, pageRequest, pageSchema } from '../../http/pagination.js';
import { emptyResponse, jsonResponse, problems } from '../../http/responses.js';
import { answerOnce, sendAnswer, sendOnce } from '../../once/answer-once.js';
import { accessOf } from '../../plugins/authentication.js';
import { locationHeader } from '../../uploads/body-schemas.js';
import { checkTarget } from './target.js';

const params = Type.Object({ id: idSchema('webhook') });
const tags = ['webhooks'];
const bodyless = ['CONTENT_TYPE_UNSUPPORTED', 'BODY_NOT_JSON', 'HEADER_INVALID', ...ONCE_ERRORS] as const;

/** `/webhooks` */
export const webhookRoutes: FastifyPluginAsyncTypebox<RouteDeps> = async (app, { config }) => {
  const webhooksOf = (request: FastifyRequest) => accessOf(request).store.webhooks;
  const find = (request: FastifyRequest, id: string) =>
    lookUp('webhook', id, (known) => webhooksOf(request).get(known));

  app.post(
    '/webhooks',
    {
      config: { scope: 'webhooks:write' },
      schema: {
        operationId: 'createWebhook',
        summary: 'Send events to a URL',
        description:
          'Messages follow Standard Webhooks 1.0: `webhook-id`, `webhook-timestamp` and `webhook-signature` (v1, HMAC-SHA256 with the secret of ' +
          'the answer, which is shown this once). What is not answered with 2xx is sent again, nine times over three and a half days; 410 ' +
          'ends a webhook. Redirects are not followed, and private addresses not sent to.',
        tags,
        headers: idempotencyHeader,
        body: WebhookRequest,
        response: {
          201: jsonResponse('The webhook, with its secret.', WebhookWithSecret, locationHeader),
          ...problems(
            'BODY_INVALID',
            'BODY_NOT_JSON',
            'BODY_TOO_LARGE',
            'CONTENT_TYPE_UNSUPPORTED',
            'HEADER_INVALID',
            'WEBHOOK_TARGET_REFUSED',
            ...ONCE_ERRORS,
          ),
        },
      },
    },
    async (request, reply) => {
      checkTarget(request.body.url, config.webhookTargets);
      const answerOf = (made: WebhookWithSecret): Answer => ({
        status: 201,
        headers: { location: `/webhooks/${made.id}` },
        body: made,
      });
      const work = async (claim: OnceClaim | null) =>
        answerOf(await webhooksOf(request).create(request.body, claim === null ? undefined : { claim, answerOf }));
      return sendAnswer(reply, await answerOnce(request, request.body, work, 'within'));
    },
  );

  app.get(
    '/webhooks',
    {
      config: { scope: 'webhooks:read' },
      schema: {
        operationId: 'listWebhooks',
        summary: 'List webhooks',
        tags,
        querystring: Type.Object(pageQuery),
        response: {
          200: jsonResponse('A page of webhooks.', pageSchema(Webhook)),
          ...problems('QUERY_INVALID', 'CURSOR_INVALID'),
        },
      },
    },
    async (request) => pageBody(await webhooksOf(request).list(pageRequest(request.query))),
  );

  app.get(
    '/webhooks/:id',
    {
      config: { scope: 'webhooks:read' },
      schema: {
        operationId: 'getWebhook',
        summary: 'Get a webhook',
        tags,
        params,
        response: { 200: jsonResponse('The webhook.', Webhook), ...problems('WEBHOOK_NOT_FOUND') },
      },
    },
    async (request) => find(request, request.params.id),
  );

  app.delete(
    '/webhooks/:id',
    {
      config: { scope: 'webhooks:write' },
      schema: {
        operationId: 'deleteWebhook',
        summary: 'Delete a webhook',
        description: 'What is still to be sent is dropped.',
        tags,
        params,
        response: { 204: emptyResponse('The webhook is gone.'), ...problems('WEBHOOK_NOT_FOUND') },
      },
    },
    async (request, reply) => {
      requireId('webhook', request.params.id);
      await webhooksOf(request).delete(request.params.id);
      return reply.status(204).send();
    },
  );

  app.post(
    '/webhooks/:id/rotate',
    {
      config: { scope: 'webhooks:write' },
      schema: {
        operationId: 'rotateWebhook',
        summary: 'Give a webhook a new secret',
        description:
          'For a day messages are signed with the former secret as well, so that the receiver can change over.',
        tags,
        params,
        headers: idempotencyHeader,
        response: {
          200: jsonResponse('The webhook, with its new secret.', WebhookWithSecret),
          ...problems('WEBHOOK_NOT_FOUND', ...bodyless),
        },
      },
    },
    async (request, reply) => {
      requireId('webhook', request.params.id);
      const { id } = request.params;
      return sendOnce<WebhookWithSecret>(request, reply, 200, (once) => webhooksOf(request).rotate(id, once), 'within');
    },
  );

  app.post(
    '/webhooks/:id/test',
    {
      config: { scope: 'webhooks:write' },
      schema: {
        operationId: 'testWebhook',
        summary: 'Send a test to a webhook',
        description: 'A message of the type `webhook.test`; its delivery says what became of it.',
        tags,
        params,
        headers: idempotencyHeader,
        response: {
          202: jsonResponse('The message is on its way.', WebhookDelivery),
          ...problems('WEBHOOK_NOT_FOUND', ...bodyless),
        },
      },
    },
    async (request, reply) => {
      requireId('webhook', request.params.id);
      return sendOnce(request, reply, 202, () => webhooksOf(request).test(request.params.id));
    },
  );

  app.get(
    '/webhooks/:id/deliveries',
    {
      config: { scope: 'webhooks:read' },
      schema: {
        operationId: 'listDeliveries',
        summary: 'List what was sent to a webhook',
        description: 'Messages that have ended are kept for 30 days.',
        tags,
        params,
        querystring: Type.Object(pageQuery),
        response: {
          200: jsonResponse('A page of deliveries.', pageSchema(WebhookDelivery)),
          ...problems('WEBHOOK_NOT_FOUND', 'QUERY_INVALID', 'CURSOR_INVALID'),
        },
      },
    },
    async (request) => {
      requireId('webhook', request.params.id);
      return pageBody(await webhooksOf(request).deliveries(request.params.id, pageRequest(request.query)));
    },
  );

  app.post(
    '/webhooks/:id/deliveries/:delivery/replay',
    {
      config: { scope: 'webhooks:write' },
      schema: {
        operationId: 'replayDelivery',
        summary: 'Send a message again',
        description: 'The same body under the same id, whether it was received or not, and again until it is.',
        tags,
        params: Type.Object({ ...params.properties, delivery: idSchema('delivery') }),
        headers: idempotencyHeader,
        response: {
          202: jsonResponse('The message is on its way.', WebhookDelivery),
          ...problems('WEBHOOK_NOT_FOUND', 'DELIVERY_NOT_FOUND', ...bodyless),
        },
      },
    },
    async (request, reply) => {
      const { id, delivery } = request.params;
      requireId('webhook', id);
      requireId('delivery', delivery);
      return sendOnce(request, reply, 202, () => webhooksOf(request).replay(id, delivery));
    },
  );
};
