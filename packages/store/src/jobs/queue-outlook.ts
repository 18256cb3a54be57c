import type { Database } from '../database.js';
import type { PrismaClient } from '../generated/client.js';
import { type Outlook, outlooks } from './fair-order.js';

type Outlooks = ReadonlyMap<string, Outlook>;

/** From so many queued jobs on, what one look has found serves others too: it takes tens of milliseconds for ten thousand. */
const LARGE_QUEUE = 1000;
const KEPT_MS = 1000;

/**
 * What queued jobs can expect, for everybody who asks in this process. In a short queue it is always as of now. In a long one it is up to a
 * second old, and a job that came meanwhile has none yet.
 */
export class QueueOutlook {
  readonly #db: PrismaClient;
  readonly #keptMs: number;
  #known: Outlooks = new Map();
  #knownUntilMs = 0;
  #looking: Promise<Outlooks> | null = null;

  constructor(db: PrismaClient, keptMs = KEPT_MS) {
    this.#db = db;
    this.#keptMs = keptMs;
  }

  /** @param db the client, or a transaction, whose own job counts then */
  async now(db: Database): Promise<Outlooks> {
    if (performance.now() < this.#knownUntilMs) return this.#known;
    if (db !== this.#db) return this.#look(db);
    this.#looking ??= this.#look(db).finally(() => {
      this.#looking = null;
    });
    return this.#looking;
  }

  async #look(db: Database): Promise<Outlooks> {
    const found = await outlooks(db);
    if (found.size >= LARGE_QUEUE) {
      this.#known = found;
      this.#knownUntilMs = performance.now() + this.#keptMs;
    }
    return found;
  }
}
