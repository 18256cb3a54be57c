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
  /** Hears of looks that failed. The stream goes on: what happened meanwhile comes with the next one that succeeds. */
  readonly onError: (error: unknown) => void;
}

/** How long a client waits before it connects again, in milliseconds. */
const RETRY_MS = 2000;
/** Proxies close connections on which nothing happens, most of them after a minute. */
const KEEP_ALIVE_MS = 15_000;
const CHECK_MS = 30_000;
/** Between two looks, however fast jobs change. */
const PACE_MS = 200;

/** The text of the stream, in pieces. The follower is the caller's to close: a generator that is never begun never ends. */
export async function* eventStream(source: EventSource): AsyncGenerator<string> {
  const { follower, signal, onError } = source;
  const reader = new Reader(source);
  yield `retry: ${RETRY_MS}\n\n`;
  while (!signal.aborted && !reader.isOver) {
    await follower.changed(KEEP_ALIVE_MS, signal);
    if (signal.aborted) return;
    let news = '';
    try {
      if (!(await reader.mayGoOn())) return;
      news = await reader.news();
    } catch (error) {
      onError(error);
    }
    yield news || ': still here\n\n';
    await sleep(PACE_MS, undefined, { signal }).catch(() => {});
  }
}

class Reader {
  isOver = false;
  readonly #source: EventSource;
  #afterId: string;
  #progress = '';
  #checkedMs = performance.now();

  constructor(source: EventSource) {
    this.#source = source;
    this.#afterId = source.afterId;
  }

  async mayGoOn(): Promise<boolean> {
    if (performance.now() - this.#checkedMs <= CHECK_MS) return true;
    const may = await this.#source.mayRead();
    this.#checkedMs = performance.now();
    return may;
  }

  /** Everything since the last look that succeeded. */
  async news(): Promise<string> {
    const { store, jobId } = this.#source;
    const events = await this.#events();
    const ended = jobId !== undefined && events.some(({ to }) => isTerminal(to));
    const job = jobId === undefined || ended ? null : await store.jobs.get(jobId);
    this.isOver = ended || (jobId !== undefined && job === null);
    this.#afterId = events.at(-1)?.id ?? this.#afterId;
    return events.map(frame).join('') + this.#progressOf(job);
  }

  async #events(): Promise<JobEvent[]> {
    const { store, jobId } = this.#source;
    const all: JobEvent[] = [];
    for (;;) {
      const page = await store.events.read({ jobId }, all.at(-1)?.id ?? this.#afterId);
      if (page.length === 0) return all;
      all.push(...page);
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
