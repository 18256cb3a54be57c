import type { Connection, Database } from '../database.js';
import { type Coming, type Outlook, type Outlooks, outlookOfComing, outlooks } from './fair-order.js';

type ById = ReadonlyMap<string, Outlook>;

/** From so many queued jobs on, what one look has found serves others too: it takes about a millisecond for every hundred. */
const LONG_QUEUE = 250;
const KEPT_MS = 1000;
const NOTHING: ById = new Map();

/**
 * What queued jobs can expect, for everybody who asks in this process. In a short queue it is always as of now. In a long one it is up to a
 * second old, and a job that came meanwhile has none yet.
 */
export class QueueOutlook {
  readonly #db: Connection;
  readonly #keptMs: number;
  #isLong = false;
  #known: ById = NOTHING;
  #knownUntilMs = 0;
  #looking: Promise<ById> | null = null;

  constructor(db: Connection, keptMs = KEPT_MS) {
    this.#db = db;
    this.#keptMs = keptMs;
  }

  /** Of all queued jobs. @param db the client, or a transaction that must not wait for another connection */
  async now(db: Database): Promise<ById> {
    return this.#recent() ?? (db === this.#db ? this.#lookTogether() : this.#look(db));
  }

  /**
   * Of a job that is about to be written, or null in a long queue, where what is known is older than the job: whoever sends jobs must
   * not wait for those that were sent before.
   */
  async ofComing(job: Coming): Promise<Outlook | null> {
    if (this.#recent() !== null) return null;
    if (!this.#isLong) return this.#note(await outlookOfComing(this.#db, job)).get(job.id) ?? null;
    // The queue may have become short, and whoever asks next needs to know anyway.
    this.#lookTogether().catch(() => {});
    return null;
  }

  #recent(): ById | null {
    return performance.now() < this.#knownUntilMs ? this.#known : null;
  }

  #lookTogether(): Promise<ById> {
    this.#looking ??= this.#look(this.#db).finally(() => {
      this.#looking = null;
    });
    return this.#looking;
  }

  async #look(db: Database): Promise<ById> {
    const known = this.#note(await outlooks(db));
    if (!this.#isLong) return known;
    this.#known = known;
    this.#knownUntilMs = performance.now() + this.#keptMs;
    return known;
  }

  #note({ waiting, byId }: Outlooks): ById {
    this.#isLong = waiting >= LONG_QUEUE;
    return byId;
  }
}
