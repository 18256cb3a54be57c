/** The servers that a service stands on, as far as a campaign does things to them. */
import { join } from 'node:path';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '@tritforge/store';
import { startTestRedis, type TestRedis } from '@tritforge/store/testing/redis-server';
import { holdsWithin } from '../until.js';

/** How long a process takes to be gone that was killed. */
const GONE_MS = 10_000;

/** A server that can be killed and started again; on another port perhaps. */
export interface Server {
  readonly port: number;
  /** kill -9. */
  kill(): Promise<void>;
  start(): Promise<void>;
  close(): Promise<void>;
}

/** PostgreSQL, which has what it had when it starts again. */
export interface DatabaseServer extends Server {
  readonly url: string;
  /** Where the cluster lies. */
  readonly dataDir: string;
  /** Stops it and leaves the cluster. */
  stop(): Promise<void>;
}

/**
 * Starts PostgreSQL in a folder below `dataDir`. It does not wait for the disk (`fsync=off`): a killed process loses nothing that it has
 * written, as the kernel has it; only a power cut would, which no campaign on a running machine can bring about.
 */
export async function openDatabaseServer(dataDir: string): Promise<DatabaseServer> {
  const start = () => startEmbeddedPostgres({ dataDir: join(dataDir, 'postgres'), ephemeral: true });
  let server: EmbeddedPostgres = await start();
  return {
    get port() {
      return server.port;
    },
    get url() {
      return server.databaseUrl('tritforge');
    },
    get dataDir() {
      return server.dataDir;
    },
    kill: async () => {
      // Its other processes end by themselves, at once.
      process.kill(server.pid, 'SIGKILL');
      if (!(await holdsWithin(GONE_MS, async () => !server.isRunning()))) throw new Error('PostgreSQL does not die');
    },
    start: async () => {
      server = await start();
    },
    stop: () => server.stop(),
    close: () => server.destroy(),
  };
}

/** Redis, which has forgotten everything when it starts again: it keeps nothing on disk. @throws Error where there is none */
export async function openRedisServer(): Promise<Server> {
  const start = async (): Promise<TestRedis> => {
    const started = await startTestRedis();
    if (typeof started === 'string') throw new Error(started);
    return started;
  };
  let server = await start();
  return {
    get port() {
      return Number(new URL(server.redisUrl).port);
    },
    kill: () => server.close(),
    start: async () => {
      server = await start();
    },
    close: () => server.close(),
  };
}
