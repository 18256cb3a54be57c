/**
 * What jobs do, as server-sent events. Changes of state and phase come from the log, each with an id to go on behind; how far a job is
 * comes between them, without an id, as it is worth nothing later.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { isTerminal, type Job } from '@tritforge/contracts';
import { EVENTS_PER_READ, type JobEvent, type JobFollower, type ProjectStore } from '@tritforge/store';
import type { SharedLooks } from './shared-looks.js';

export interface EventSource {
  readonly store: ProjectStore;
  readonly projectId: string;
  /** Of all streams of this process. */
  readonly looks: SharedLooks;
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
  let sentMs = performance.now();
  while (!signal.aborted && !reader.isOver) {
    await follower.changed(sentMs + KEEP_ALIVE_MS - performance.now(), signal);
    if (signal.aborted) return;
    let news = '';
    try {
      if (!(await reader.mayGoOn())) return;
      news = await reader.news();
    } catch (error) {
      onError(error);
    }
    if (news !== '' || performance.now() - sentMs >= KEEP_ALIVE_MS) {
      yield news || ': still here\n\n';
      sentMs = performance.now();
    }
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
    const { store, projectId, looks, jobId } = this.#source;
    const events = await this.#events();
    const ended = jobId !== undefined && events.some(({ to }) => isTerminal(to));
    const job =
      jobId === undefined || ended ? null : await looks.ask(`${projectId} ${jobId}`, () => store.jobs.get(jobId));
    this.isOver = ended || (jobId !== undefined && job === null);
    this.#afterId = events.at(-1)?.id ?? this.#afterId;
    return events.map(frame).join('') + this.#progressOf(job);
  }

  async #events(): Promise<JobEvent[]> {
    const { store, projectId, looks, jobId } = this.#source;
    const all: JobEvent[] = [];
    for (;;) {
      const afterId = all.at(-1)?.id ?? this.#afterId;
      const question = `${projectId} ${jobId ?? ''} ${afterId}`;
      const page = await looks.ask(question, () => store.events.read({ jobId }, afterId));
      all.push(...page);
      if (page.length < EVENTS_PER_READ) return all;
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
