import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import {
  deployMigrations,
  type EmbeddedPostgres,
  oneOf,
  readSettings,
  SHARED_SETTINGS,
  type StoreConfig,
  startEmbeddedPostgres,
  storeConfigOf,
} from '@tritforge/store';
import { startTestS3, type TestS3 } from '@tritforge/store/testing/s3-server';
import { Client } from 'pg';
import { Conformance, type OpenapiDocument } from './conformance.js';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const API = 'apps/api/dist/server.js';
const START_TIMEOUT_MS = 30_000;
/** Below the data folder, so that it goes with it. */
const S3_FOLDER = 's3';
/** What the S3 server keeps beside an object for itself. */
const S3_NOTES = /\._S3rver_(object\.md5|metadata\.json)$/;

/** What of a service a test can look at: how many rows each table has, and which files lie in its folders. */
export interface Footprint {
  readonly rows: Readonly<Record<string, number>>;
  readonly files: readonly string[];
}

export interface StackOptions {
  /** Settings of API and worker beside those that every stack has. */
  readonly env?: Readonly<Record<string, string>>;
  /** How many workers run; none by default. */
  readonly workers?: number;
  /** Where files are stored: in a folder or in a bucket; as TRITFORGE_TEST_STORAGE says by default, else in a folder. */
  readonly storage?: 'folder' | 's3';
}

/** What a stack is made of beside its processes. */
interface Running {
  readonly settings: Readonly<Record<string, string>>;
  readonly postgres: EmbeddedPostgres;
  readonly s3: TestS3 | null;
}

/** A running service: PostgreSQL, the API and workers as processes of their own, in a folder of their own. */
export class Stack {
  readonly url: string;
  readonly dataDir: string;
  readonly databaseUrl: string;
  readonly api: ChildProcess;
  readonly #settings: Readonly<Record<string, string>>;
  readonly #processes: readonly ChildProcess[];
  readonly #further: ChildProcess[] = [];
  readonly #postgres: EmbeddedPostgres;
  readonly #s3: TestS3 | null;
  readonly #db: Client;
  #loadedConformance: Promise<Conformance> | null = null;

  constructor(
    url: string,
    { settings, postgres, s3 }: Running,
    processes: readonly [api: ChildProcess, ...workers: ChildProcess[]],
    db: Client,
  ) {
    this.url = url;
    this.#settings = settings;
    [this.dataDir, this.databaseUrl] = [settings.TRITFORGE_DATA_DIR!, settings.DATABASE_URL!];
    [this.api] = processes;
    this.#processes = processes;
    this.#postgres = postgres;
    this.#s3 = s3;
    this.#db = db;
  }

  /** What this process opens the store of the service with. */
  get storeConfig(): StoreConfig {
    // Where the SDK looks for them.
    Object.assign(process.env, this.#s3?.credentials);
    return storeConfigOf(readSettings(SHARED_SETTINGS, this.#settings));
  }

  /** The processes that run jobs. */
  get workers(): readonly ChildProcess[] {
    return this.#processes.slice(1);
  }

  /** Sends a request to the API. The answer is one that the OpenAPI document describes, or this throws. */
  async fetch(path: string, init?: RequestInit): Promise<Response> {
    const response = await fetch(`${this.url}${path}`, init);
    const conformance = await this.#conformance();
    await conformance.check(init?.method ?? 'GET', path, response.clone());
    return response;
  }

  #conformance(): Promise<Conformance> {
    this.#loadedConformance ??= fetch(`${this.url}/openapi.json`)
      .then((response) =>
        response.ok ? response.json() : Promise.reject(new Error(`${response.status} of the document`)),
      )
      .then((document) => new Conformance(document as OpenapiDocument))
      .catch((error) => {
        // The service may have been away; the next answer asks again.
        this.#loadedConformance = null;
        throw error;
      });
    return this.#loadedConformance;
  }

  /** Row counts and files as they are now. */
  async footprint(): Promise<Footprint> {
    const folders = ['blobs', 'scratch', S3_FOLDER].map((folder) => listFiles(join(this.dataDir, folder)));
    const files = await Promise.all(folders);
    return {
      rows: await countRows(this.#db),
      files: files
        .flat()
        .filter((path) => !S3_NOTES.test(path))
        .sort(),
    };
  }

  /** Largest resident memory of the API process so far, in bytes (Linux). */
  async apiPeakMemoryBytes(): Promise<number> {
    const status = await readFile(`/proc/${this.api.pid}/status`, 'utf8');
    return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
  }

  /** Whether any worker has a process of the engine running (Linux). */
  async hasRunningTask(): Promise<boolean> {
    const workerPids = this.workers.map(({ pid }) => pid);
    const children = workerPids.map((pid) => readFile(`/proc/${pid}/task/${pid}/children`, 'utf8'));
    return (await Promise.all(children)).some((pids) => pids.trim() !== '');
  }

  /** Starts another API process of the same service. */
  async startApi(): Promise<{ readonly url: string; readonly process: ChildProcess }> {
    const api = start(API, this.#settings);
    this.#further.push(api);
    return { url: await addressOf(api), process: api };
  }

  /** Puts an object into the bucket of a service that stores its files in one, as others do who use it too. */
  async putObject(key: string, content: Buffer): Promise<void> {
    await this.#s3?.put(key, content);
  }

  /** Stops the object storage under the running service, where it has one. */
  async stopS3(): Promise<void> {
    await this.#s3?.close();
  }

  /** Stops the database under the running service. */
  stopDatabase(): Promise<void> {
    return this.#postgres.stop();
  }

  async close(): Promise<void> {
    await Promise.all([...this.#processes, ...this.#further].map(stop));
    await this.#db.end();
    await this.#postgres.destroy();
    await this.#s3?.close();
    await rm(this.dataDir, { recursive: true, force: true });
  }
}

/** Starts a stack in a folder of its own; `close` ends it and removes the folder. */
export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const { env = {}, workers = 0 } = options;
  const storage = options.storage ?? oneOf('folder', 's3')(process.env.TRITFORGE_TEST_STORAGE || 'folder');
  const dataDir = await mkdtemp(join(tmpdir(), 'tritforge-stack-'));
  // The server runs as another user when the tests run as root, and must reach its files.
  await chmod(dataDir, 0o755);
  const postgres = await startEmbeddedPostgres({ dataDir: join(dataDir, 'postgres'), ephemeral: true });
  const databaseUrl = postgres.databaseUrl('tritforge');
  await deployMigrations(databaseUrl);
  const s3 = storage === 's3' ? await startTestS3(join(dataDir, S3_FOLDER)) : null;
  const settings = {
    DATABASE_URL: databaseUrl,
    TRITFORGE_DATA_DIR: dataDir,
    TRITFORGE_PORT: '0',
    REDIS_URL: '',
    TRITFORGE_S3_BUCKET: '',
    TRITFORGE_S3_ENDPOINT: '',
    TRITFORGE_S3_PUBLIC_ENDPOINT: '',
    ...s3?.credentials,
    ...s3?.settings,
    ...env,
  };
  const api = start(API, settings);
  const workerProcesses = Array.from({ length: workers }, () => start('apps/worker/dist/main.js', settings));
  for (const worker of workerProcesses) worker.stdout?.resume();
  const db = new Client({ connectionString: databaseUrl });
  // A test may stop the database.
  db.on('error', () => {});
  await db.connect();
  return new Stack(await addressOf(api), { settings, postgres, s3 }, [api, ...workerProcesses], db);
}

function start(path: string, env: Readonly<Record<string, string>>): ChildProcess {
  return spawn(process.execPath, ['--enable-source-maps', join(ROOT, path)], {
    env: { ...process.env, ...env },
    // With the channel a service ends when the test process dies, however it dies.
    stdio: ['ignore', 'pipe', process.env.TRITFORGE_TEST_LOG ? 'inherit' : 'ignore', 'ipc'],
  });
}

/** Where the API listens, from its log. */
async function addressOf(api: ChildProcess): Promise<string> {
  const lines = createInterface({ input: api.stdout! });
  const timer = setTimeout(() => api.kill('SIGKILL'), START_TIMEOUT_MS);
  for await (const line of lines) {
    if (process.env.TRITFORGE_TEST_LOG) process.stderr.write(`${line}\n`);
    const url = /Server listening at (http:[^"\s]+)/.exec(line)?.[1];
    if (url === undefined) continue;
    clearTimeout(timer);
    if (process.env.TRITFORGE_TEST_LOG) api.stdout!.pipe(process.stderr);
    else api.stdout!.resume();
    return url;
  }
  throw new Error('the API ended before it listened; set TRITFORGE_TEST_LOG=1 to see why');
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
  await ended;
  clearTimeout(timer);
}

async function countRows(db: Client): Promise<Record<string, number>> {
  // The audit log notes what was refused, too.
  const tables = await db.query(
    "select tablename from pg_tables where schemaname = 'public' and tablename <> 'audit_entries' order by 1",
  );
  const counts: [string, number][] = [];
  for (const { tablename } of tables.rows) {
    const { rows } = await db.query(`select count(*)::int as count from "${tablename}"`);
    counts.push([tablename, rows[0].count]);
  }
  return Object.fromEntries(counts);
}

async function listFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => !entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name));
}
