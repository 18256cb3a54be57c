import { newId, TritforgeError } from '@tritforge/contracts';
import { Prisma, storableText } from '../database.js';
import type { Statements } from '../statements.js';
import type { NewAuditEntry } from './audit.js';

/** Between two writes, at least: every request that changes something has an entry, and one write for each would be half of its work. */
const PAUSE_MS = 250;
/** Entries written at once. */
const BATCH = 1000;
/** Entries that may wait; a database that takes none must not fill the memory. */
const MOST_WAITING = 10_000;

/** An entry that waits to be written, and whoever waits for that. */
interface Waiting {
  readonly id: string;
  readonly cameMs: number;
  readonly entry: NewAuditEntry;
  readonly written: () => void;
  readonly failed: (error: unknown) => void;
}

/**
 * Writes entries of the audit log together, in the order in which they came: at once where none came lately, four times a second where
 * many do. A process that is killed loses those that wait; one that closes writes them first (`flush`).
 */
export class AuditWriter {
  readonly #statements: Statements;
  readonly #mostWaiting: number;
  #waiting: Waiting[] = [];
  #came = 0;
  #done = 0;
  #writing: Promise<void> | null = null;
  #timer: NodeJS.Timeout | null = null;
  #nextMs = 0;

  constructor(statements: Statements, mostWaiting = MOST_WAITING) {
    this.#statements = statements;
    this.#mostWaiting = mostWaiting;
  }

  /**
   * Resolves when the entry is in the database.
   * @throws TritforgeError SERVICE_OVERLOADED where too many wait, SERVICE_UNAVAILABLE where the database cannot be reached
   */
  write(entry: NewAuditEntry): Promise<void> {
    if (this.#waiting.length >= this.#mostWaiting) return Promise.reject(tooMany(this.#waiting.length));
    return new Promise((written, failed) => {
      this.#came++;
      this.#waiting.push({ id: newId('audit'), cameMs: performance.now(), entry, written, failed });
      this.#schedule();
    });
  }

  /** Resolves when everything that came before is written, or has failed. */
  async flush(): Promise<void> {
    const came = this.#came;
    while (this.#done < came) await this.#writeNext();
  }

  #schedule(): void {
    if (this.#waiting.length === 0 || this.#writing !== null || this.#timer !== null) return;
    this.#timer = setTimeout(() => void this.#writeNext(), Math.max(0, this.#nextMs - performance.now()));
  }

  /** The write that goes on, or else the next one, now. */
  #writeNext(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#writing ??= this.#writeBatch().finally(() => {
      this.#writing = null;
      this.#nextMs = performance.now() + PAUSE_MS;
      this.#schedule();
    });
    return this.#writing;
  }

  async #writeBatch(): Promise<void> {
    const batch = this.#waiting.splice(0, BATCH);
    try {
      await insert(this.#statements, batch);
      for (const { written } of batch) written();
    } catch (error) {
      for (const { failed } of batch) failed(error);
    } finally {
      this.#done += batch.length;
    }
  }
}

/** Times are the database's, less what the entries have waited for. */
async function insert(statements: Statements, batch: readonly Waiting[]): Promise<void> {
  const nowMs = performance.now();
  const rows = batch.map(({ id, cameMs, entry }) => ({
    ...entry,
    id,
    waited: (nowMs - cameMs) / 1000,
    action: storableText(entry.action),
    target: storableText(entry.target),
  }));
  await statements.run(
    'new audit entries',
    Prisma.sql`
      INSERT INTO audit_entries (id, at, project_id, key_id, action, target, status, request_id, address)
      SELECT id, clock_timestamp() - make_interval(secs => waited), "projectId", "keyId", action, target, status, "requestId", address
      FROM json_to_recordset(${JSON.stringify(rows)}::json) AS rows (id text, waited double precision, "projectId" text, "keyId" text,
        action text, target text, status int, "requestId" text, address text)`,
  );
}

function tooMany(waiting: number): TritforgeError {
  return new TritforgeError('SERVICE_OVERLOADED', `${waiting} entries of the audit log wait to be written`, {
    remediation: 'Find out why the database takes so long.',
  });
}
