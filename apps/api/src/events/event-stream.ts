/**
 * What jobs do, as server-sent events. Changes of state and phase come from the log, each with an id to go on behind; how far a job is
 * comes between them, without an id, as it is worth nothing later.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { isTerminal, type Job } from '@tritforge/contracts';
import type { JobEvent, JobFollower, ProjectStore } from '@tritforge/store';

export interface EventSource {
  readonly store: ProjectStore;
  readonly follower: JobFollower;
  /** Of one job: the stream ends when that has ended. */
  readonly jobId?: string | undefined;
  /** Events after this one. */
  readonly afterId: string;
  /** Ends the stream. */
  readonly signal: AbortSignal;
  /** Whether who reads may still read; asked every half minute. */
  readonly mayRead: () => Promise<boolean>;
}

/** How long a client waits before it connects again, in milliseconds. */
const RETRY_MS = 2000;
/** Proxies close connections on which nothing happens, most of them after a minute. */
const KEEP_ALIVE_MS = 15_000;
const CHECK_MS = 30_000;
/** Between two looks, however fast jobs change. */
const PACE_MS = 200;

/** The text of the stream, in pieces. */
export async function* eventStream(source: EventSource): AsyncGenerator<string> {
  const { follower, signal, mayRead } = source;
  const reader = new Reader(source);
  let checkedMs = performance.now();
  yield `retry: ${RETRY_MS}\n\n`;
  try {
    while (!signal.aborted && !reader.isOver) {
      await follower.changed(KEEP_ALIVE_MS, signal);
      if (signal.aborted) return;
      if (performance.now() - checkedMs > CHECK_MS) {
        if (!(await mayRead())) return;
        checkedMs = performance.now();
      }
      yield (await reader.news()) || ': still here\n\n';
      await sleep(PACE_MS, undefined, { signal }).catch(() => {});
    }
  } finally {
    follower.close();
  }
}

class Reader {
  isOver = false;
  readonly #source: EventSource;
  #afterId: string;
  #progress = '';

  constructor(source: EventSource) {
    this.#source = source;
    this.#afterId = source.afterId;
  }

  /** Everything since the last look; nothing while the database cannot be reached. */
  async news(): Promise<string> {
    try {
      const { store, jobId } = this.#source;
      const events = await this.#events();
      const ended = jobId !== undefined && events.some(({ to }) => isTerminal(to));
      const job = jobId === undefined || ended ? null : await store.jobs.get(jobId);
      this.isOver = ended || (jobId !== undefined && job === null);
      return events.map(frame).join('') + this.#progressOf(job);
    } catch {
      return '';
    }
  }

  async #events(): Promise<JobEvent[]> {
    const { store, jobId } = this.#source;
    const all: JobEvent[] = [];
    for (;;) {
      const page = await store.events.read({ jobId }, this.#afterId);
      const last = page.at(-1);
      if (last === undefined) return all;
      all.push(...page);
      this.#afterId = last.id;
    }
  }

  #progressOf(job: Job | null): string {
    if (job === null || job.progress === null) return '';
    const data = JSON.stringify({ jobId: job.id, phase: job.phase, progress: job.progress });
    if (data === this.#progress) return '';
    this.#progress = data;
    return `event: job.progress\ndata: ${data}\n\n`;
  }
}

/** `job.` and the new state, or `job.phase` within `running`. */
function frame({ id, jobId, at, from, to, phase }: JobEvent): string {
  const type = from === 'running' && to === 'running' ? 'job.phase' : `job.${to}`;
  const data = JSON.stringify({ id, type, jobId, at, state: to, previousState: from, phase });
  return `id: ${id}\nevent: ${type}\ndata: ${data}\n\n`;
}
