/** A whole service that things can be done to: servers, two APIs, two workers, and a line from each to all that it speaks to. */
import { chmod, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openStore, readSettings, SHARED_SETTINGS, type Store, storeConfigOf } from '@tritforge/store';
import { Pool } from 'pg';
import type { Program } from '#test/support/service-process';
import { freePort } from '#test/support/started-service';
import { Closers } from './closers.js';
import {
  type Backends,
  type Foundation,
  type Lines,
  layFoundation,
  openLines,
  settingsOf,
  startAgain,
} from './foundation.js';
import type { DatabaseServer, Server } from './server.js';
import { ServiceProcess } from './service-process.js';

/** In the order of their lines, behind which those of the campaign itself come, which nobody cuts. */
const PROGRAMS: readonly Program[] = ['api', 'api', 'worker', 'worker'];
const OWN_LINES = PROGRAMS.length;
const DATABASE_TIMEOUT_MS = 5_000;

/** A service that runs, with all that a campaign does things to. */
export interface Service {
  readonly dataDir: string;
  /** Of the APIs, through lines that can be cut. */
  readonly urls: readonly string[];
  readonly apis: readonly ServiceProcess[];
  readonly workers: readonly ServiceProcess[];
  readonly database: DatabaseServer;
  readonly redis: Server | null;
  /** Of the APIs to clients, and of all processes to servers. */
  readonly lines: Readonly<Record<'api' | 'database' | 'redis' | 'storage', Lines>>;
  /** The database, for looks. */
  readonly db: Pool;
  /** Opens the store of the service in this process, for as long as the work takes. */
  withStore<T>(work: (store: Store) => Promise<T>): Promise<T>;
  /** Starts the database again on what it has. */
  startDatabase(): Promise<void>;
  startRedis(): Promise<void>;
  /** Ends everything. @param isKept whether the folder stays, with the database, for whoever looks what is wrong */
  close(isKept: boolean): Promise<void>;
}

/** Starts a service in a folder of its own. @throws Error that says what cannot be had */
export async function startService(backends: Backends): Promise<Service> {
  const dataDir = await mkdtemp(join(tmpdir(), 'tritforge-faults-'));
  // PostgreSQL runs as another user where this is root, and must reach its files.
  await chmod(dataDir, 0o755);
  const closers = new Closers();
  let foundation: Foundation | null = null;
  const close = async (isKept: boolean) => {
    await closers.closeAll();
    // Whoever started the cluster removes it by its name.
    if (isKept && foundation !== null) await rename(foundation.database.dataDir, join(dataDir, 'postgres-kept'));
    if (!isKept) await rm(dataDir, { recursive: true, force: true });
  };
  try {
    foundation = await layFoundation(dataDir, backends, OWN_LINES + 1, closers);
    const { processes, ports } = await startProcesses(foundation, closers);
    const api = await openLines(
      ports.filter((_, index) => PROGRAMS[index] === 'api'),
      closers,
    );
    const settings = settingsOf(foundation, OWN_LINES);
    const { database, redis, s3, lines } = foundation;
    return {
      dataDir,
      urls: api.map(({ port }) => `http://127.0.0.1:${port}`),
      apis: processes.filter((_, index) => PROGRAMS[index] === 'api'),
      workers: processes.filter((_, index) => PROGRAMS[index] === 'worker'),
      database,
      redis,
      lines: { ...lines, api },
      db: openPool(settings.DATABASE_URL!, closers),
      withStore: (work) => withStore(settings, s3, work),
      startDatabase: () => startAgain(database, lines.database),
      startRedis: async () => {
        if (redis !== null) await startAgain(redis, lines.redis);
      },
      close,
    };
  } catch (error) {
    // What does not start on it says why in its log.
    await close(foundation !== null);
    throw error;
  }
}

async function startProcesses(
  foundation: Foundation,
  closers: Closers,
): Promise<{ readonly processes: readonly ServiceProcess[]; readonly ports: readonly number[] }> {
  const logDir = join(foundation.dataDir, 'logs');
  await mkdir(logDir);
  const ports = await Promise.all(PROGRAMS.map(freePort));
  const processes = PROGRAMS.map((program, index) => {
    const number = PROGRAMS.slice(0, index + 1).filter((other) => other === program).length;
    return new ServiceProcess({
      name: `${program} ${number}`,
      program,
      env: { ...settingsOf(foundation, index), TRITFORGE_PORT: `${ports[index]}` },
      logPath: join(logDir, `${program}-${number}.log`),
    });
  });
  closers.add(async () => {
    await Promise.all(processes.map((process) => process.stop()));
    for (const process of processes) process.closeLog();
  });
  await Promise.all(processes.map((process) => process.start()));
  return { processes, ports };
}

function openPool(connectionString: string, closers: Closers): Pool {
  const db = new Pool({ connectionString, connectionTimeoutMillis: DATABASE_TIMEOUT_MS });
  // The campaign kills the server; the next query says what matters.
  db.on('error', () => {});
  closers.add(() => db.end());
  return db;
}

async function withStore<T>(
  settings: Readonly<Record<string, string>>,
  s3: Foundation['s3'],
  work: (store: Store) => Promise<T>,
): Promise<T> {
  // Where the SDK looks for them.
  Object.assign(process.env, s3?.credentials);
  const { s3: bucket, ...config } = storeConfigOf(readSettings(SHARED_SETTINGS, settings));
  // What was sent lately is listed too: nothing is on its way while a campaign looks.
  const store = await openStore({ ...config, s3: bucket && { ...bucket, timing: { settleMs: 0 } } });
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}
