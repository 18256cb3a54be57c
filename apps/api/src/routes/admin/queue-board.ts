import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { FastifyAdapter } from '@bull-board/fastify';
import type { JobQueue } from '@tritforge/store';
import type { FastifyPluginCallback } from 'fastify';

type BoardRoutes = Parameters<FastifyAdapter['setApiRoutes']>[0];

/** Has no routes but those that look: what is not there cannot be called, also not by a page that a browser sends its key for. */
class LookingAdapter extends FastifyAdapter {
  override setApiRoutes(routes: BoardRoutes): FastifyAdapter {
    return super.setApiRoutes(routes.filter(({ method }) => method === 'get'));
  }
}

/** The pages of bull-board about a queue. @param path where they are registered */
export function queueBoard(queue: NonNullable<JobQueue['onRedis']>, path: string): FastifyPluginCallback {
  const serverAdapter = new LookingAdapter();
  serverAdapter.setBasePath(path);
  createBullBoard({
    queues: [new BullMQAdapter(queue, { readOnlyMode: true })],
    serverAdapter,
    options: { uiConfig: { boardTitle: 'Tritforge', hideDocsLink: true } },
  });
  return serverAdapter.registerPlugin();
}
