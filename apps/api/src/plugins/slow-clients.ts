import type { FastifyInstance } from 'fastify';

/** How long at most what remains of a body is read and dropped after an early answer, so that the client sees the answer. */
const LINGER_MS = 10_000;

/**
 * Ends connections of clients that would hold them for nothing: those whose body goes on and on after the answer, and those that do not take
 * the answer. How long heads and bodies may take on their way here is said where they are read.
 * @param slowMs how long a client may take nothing of an answer
 */
export function endSlowClients(app: FastifyInstance, slowMs: number): void {
  app.addHook('onSend', async (_request, reply) => {
    // A stream of events stands still where nothing happens.
    if (`${reply.getHeader('content-type')}`.startsWith('text/event-stream')) return;
    reply.raw.setTimeout(slowMs, () => reply.raw.destroy());
  });
  // Node drops the rest of a body after the answer, however long it takes.
  app.addHook('onResponse', async ({ raw }) => {
    if (raw.complete) return;
    const timer = setTimeout(() => raw.complete || raw.socket.destroy(), Math.min(LINGER_MS, slowMs)).unref();
    raw.once('close', () => clearTimeout(timer));
  });
}
