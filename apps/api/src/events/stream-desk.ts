import { Readable } from 'node:stream';
import { TritforgeError } from '@tritforge/contracts';
import type { JobWatch, KeyRepository } from '@tritforge/store';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { accessOf } from '../plugins/authentication.js';
import { eventStream } from './event-stream.js';
import { SharedLooks } from './shared-looks.js';

/** Opens streams of events: limits how many there are at once, and ends them when the service closes. */
export class StreamDesk {
  readonly #watch: JobWatch;
  readonly #keys: KeyRepository;
  readonly #maxStreams: number;
  readonly #looks = new SharedLooks();
  readonly #closing = new AbortController();
  #open = 0;

  constructor(app: FastifyInstance, parts: { watch: JobWatch; keys: KeyRepository; maxStreams: number }) {
    this.#watch = parts.watch;
    this.#keys = parts.keys;
    this.#maxStreams = parts.maxStreams;
    app.addHook('preClose', async () => this.#closing.abort());
  }

  /** @throws TritforgeError SERVICE_OVERLOADED */
  open(request: FastifyRequest, reply: FastifyReply, afterId: string, jobId?: string): FastifyReply {
    if (this.#open >= this.#maxStreams) throw overloaded(this.#open);
    const { store, projectId, key } = accessOf(request);
    const follower = this.#watch.follow({ projectId, jobId });
    this.#open++;
    const gone = new AbortController();
    reply.raw.once('close', () => {
      this.#open--;
      gone.abort();
      follower.close();
    });
    const pieces = eventStream({
      store,
      projectId,
      looks: this.#looks,
      follower,
      jobId,
      afterId,
      signal: AbortSignal.any([gone.signal, this.#closing.signal]),
      mayRead: async () => key === null || this.#keys.isValid(key.id),
      onError: (err) => request.log.warn({ err }, 'a look for events failed'),
    });
    return reply
      .type('text/event-stream')
      .headers({ 'cache-control': 'no-store', 'x-accel-buffering': 'no' })
      .send(Readable.from(pieces, { objectMode: false }));
  }
}

function overloaded(open: number): TritforgeError {
  return new TritforgeError('SERVICE_OVERLOADED', `${open} streams of events are open already`, {
    remediation: 'Connect again after the seconds that Retry-After names; no event is lost.',
  });
}
