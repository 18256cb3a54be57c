import { TritforgeError } from '@tritforge/contracts';
import type { FastifyError, FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import type { ServiceStore } from '../../deps.js';
import { sendError } from '../../errors.js';

const BOARD_PATH = '/admin/queues';

/** The pages load nothing from elsewhere, not the fonts that they ask for either, send nothing anywhere, and are shown in no frame. */
const PAGE_HEADERS = {
  'content-security-policy': [
    "default-src 'self'",
    "img-src 'self' data:",
    "style-src 'self' 'unsafe-inline'",
    "object-src 'none'",
    "form-action 'none'",
    "base-uri 'self'",
    "frame-ancestors 'none'",
  ].join('; '),
  'x-frame-options': 'DENY',
  'cache-control': 'no-store',
};

/**
 * `/admin/queues`: what lies on Redis, as pages for people, to be looked at alone. The truth about jobs is in PostgreSQL: to remove or repeat a
 * delivery would be undone by the next reconciliation, or seem to have done what it did not.
 */
export const adminRoutes: FastifyPluginAsync<Pick<ServiceStore, 'queue'>> = async (app, { queue: { onRedis } }) => {
  if (onRedis === null) return answerWithoutRedis(app);
  app.addHook('onRoute', (route) => {
    route.errorHandler = sendBoardError;
  });
  app.addHook('onRequest', async (_request, reply) => void reply.headers(PAGE_HEADERS));
  // Loaded where there is something to show.
  const { queueBoard } = await import('./queue-board.js');
  await app.register(queueBoard(onRedis, BOARD_PATH), { prefix: BOARD_PATH });
};

function answerWithoutRedis(app: FastifyInstance): void {
  for (const url of [BOARD_PATH, `${BOARD_PATH}/*`]) {
    app.get(url, { schema: { hide: true } }, async () => {
      throw new TritforgeError('NOT_FOUND', 'The queue lies in PostgreSQL, and the board shows queues on Redis', {
        remediation: 'Set REDIS_URL to have the queue on Redis; GET /jobs and GET /metrics say what waits.',
      });
    });
  }
}

/** What the board and its library throw, in our terms. */
function sendBoardError(error: FastifyError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  return sendError(error instanceof TritforgeError ? error : translated(error), request, reply);
}

function translated(error: FastifyError): TritforgeError {
  if ((error.statusCode ?? 500) < 500) {
    return new TritforgeError('NOT_FOUND', 'The board has no such page', { remediation: `Begin at ${BOARD_PATH}.` });
  }
  return new TritforgeError('SERVICE_UNAVAILABLE', 'The queue cannot be shown', {
    remediation: 'Look whether Redis can be reached: GET /health/ready says so.',
    cause: error,
  });
}
