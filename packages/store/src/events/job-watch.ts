import pg from 'pg';

/** Which jobs somebody follows. */
export interface WatchTarget {
  readonly projectId?: string | undefined;
  readonly jobId?: string | undefined;
}

/** Somebody who follows jobs. */
export interface JobFollower {
  /**
   * Resolves when one of the jobs has changed since the last call, may have, or the time is over. It never rejects.
   * @param signal ends the wait
   */
  changed(timeoutMs: number, signal?: AbortSignal): Promise<void>;
  close(): void;
}

/** Tells followers when jobs change, by one connection for all of them, which is there as long as there are any. */
export interface JobWatch {
  follow(target: WatchTarget): JobFollower;
  close(): Promise<void>;
}

const CHANNEL = 'tritforge_jobs';
const RECONNECT_MS = 1000;
const CONNECT_TIMEOUT_MS = 10_000;
/** How long a connection that nobody needs is kept. */
const IDLE_MS = 30_000;

/** @param databaseUrl whose notifications tell of jobs; what they miss while the connection is away, followers see by looking */
export function openJobWatch(databaseUrl: string): JobWatch {
  return new PostgresJobWatch(databaseUrl);
}

class Follower implements JobFollower {
  readonly #target: WatchTarget;
  readonly #end: (follower: Follower) => void;
  #isDirty = true;
  #wake: (() => void) | null = null;

  constructor(target: WatchTarget, end: (follower: Follower) => void) {
    this.#target = target;
    this.#end = end;
  }

  /** @param change null where nobody knows what has changed */
  tell(change: Required<WatchTarget> | null): void {
    const { projectId, jobId } = this.#target;
    if (change !== null && projectId !== undefined && projectId !== change.projectId) return;
    if (change !== null && jobId !== undefined && jobId !== change.jobId) return;
    this.#isDirty = true;
    this.#wake?.();
  }

  async changed(timeoutMs: number, signal?: AbortSignal): Promise<void> {
    if (!this.#isDirty && !signal?.aborted) await this.#told(timeoutMs, signal);
    this.#isDirty = false;
  }

  #told(timeoutMs: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        this.#wake = null;
        resolve();
      };
      const timer = setTimeout(done, timeoutMs);
      signal?.addEventListener('abort', done);
      this.#wake = done;
    });
  }

  close(): void {
    this.#wake?.();
    this.#end(this);
  }
}

class PostgresJobWatch implements JobWatch {
  readonly #databaseUrl: string;
  readonly #followers = new Set<Follower>();
  #client: pg.Client | null = null;
  #connecting: Promise<void> | null = null;
  #idle: NodeJS.Timeout | null = null;
  #isClosed = false;

  constructor(databaseUrl: string) {
    this.#databaseUrl = databaseUrl;
  }

  follow(target: WatchTarget): JobFollower {
    const follower = new Follower(target, (ended) => this.#ended(ended));
    this.#followers.add(follower);
    if (this.#idle) clearTimeout(this.#idle);
    this.#connect();
    return follower;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#idle) clearTimeout(this.#idle);
    await this.#connecting;
    await this.#disconnect();
  }

  #ended(follower: Follower): void {
    this.#followers.delete(follower);
    if (this.#followers.size > 0 || this.#isClosed) return;
    if (this.#idle) clearTimeout(this.#idle);
    this.#idle = setTimeout(() => {
      if (this.#followers.size === 0) void this.#disconnect();
    }, IDLE_MS).unref();
  }

  #connect(): void {
    if (this.#client || this.#connecting || this.#isClosed) return;
    this.#connecting = this.#listen()
      .catch(() => this.#retry())
      .finally(() => {
        this.#connecting = null;
      });
  }

  async #listen(): Promise<void> {
    const client = new pg.Client({
      connectionString: this.#databaseUrl,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      keepAlive: true,
    });
    client.on('error', () => {});
    client.on('notification', ({ payload = '' }) => {
      const [projectId = '', jobId = ''] = payload.split(' ');
      this.#tell({ projectId, jobId });
    });
    client.on('end', () => {
      if (this.#client !== client) return;
      this.#client = null;
      this.#retry();
    });
    try {
      await client.connect();
      await client.query(`LISTEN ${CHANNEL}`);
    } catch (error) {
      await client.end().catch(() => {});
      throw error;
    }
    this.#client = client;
    // Whatever happened before the connection was there.
    this.#tell(null);
  }

  #retry(): void {
    this.#tell(null);
    if (this.#followers.size > 0) setTimeout(() => this.#connect(), RECONNECT_MS).unref();
  }

  async #disconnect(): Promise<void> {
    const client = this.#client;
    this.#client = null;
    await client?.end().catch(() => {});
  }

  #tell(change: Required<WatchTarget> | null): void {
    for (const follower of this.#followers) follower.tell(change);
  }
}
