import type { ChildProcess } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
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
import { startTestRedis, type TestRedis } from '@tritforge/store/testing/redis-server';
import { startTestS3, type TestS3 } from '@tritforge/store/testing/s3-server';
import { Client } from 'pg';
import { Conformance, type OpenapiDocument } from './conformance.js';
import { countRows, listFiles } from './footprint.js';
import { type Program, startProcess, stopProcess } from './service-process.js';

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
  /** Whether the database waits for the disk, as that of a service does and tests need not. */
  readonly durable?: boolean;
  /** Where files are stored: in a folder or in a bucket; as TRITFORGE_TEST_STORAGE says by default, else in a folder. */
  readonly storage?: 'folder' | 's3';
  /** What dispatches jobs: the database or Redis; as TRITFORGE_TEST_QUEUE says by default, else the database. */
  readonly queue?: 'postgres' | 'redis';
  /** Gets all that the processes write. */
  readonly onOutput?: (text: string) => void;
}

/** What a stack is made of beside its processes. */
interface Running {
  readonly settings: Readonly<Record<string, string>>;
  readonly postgres: EmbeddedPostgres;
  readonly s3: TestS3 | null;
  readonly redis: TestRedis | null;
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
  readonly #redis: TestRedis | null;
  readonly #db: Client;
  #loadedConformance: Promise<Conformance> | null = null;

  constructor(
    url: string,
    { settings, postgres, s3, redis }: Running,
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
    this.#redis = redis;
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
    const copy = response.clone();
    await conformance.check(init?.method ?? 'GET', path, copy);
    // The connection of a stream ends only when nobody reads it any more.
    if (!copy.bodyUsed) void copy.body?.cancel();
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

  /** The process of the database that all others of it come from. */
  get postgresPid(): number {
    return this.#postgres.pid;
  }

  /** Starts another API process of the same service. */
  async startApi(): Promise<{ readonly url: string; readonly process: ChildProcess }> {
    const api = start('api', this.#settings);
    this.#further.push(api);
    return { url: await addressOf(api), process: api };
  }

  /** Starts another worker of the same service. */
  startWorker(): ChildProcess {
    const worker = startWorker(this.#settings);
    this.#further.push(worker);
    return worker;
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
    await Promise.all([...this.#processes, ...this.#further].map(stopProcess));
    await this.#db.end();
    await this.#postgres.destroy();
    await this.#s3?.close();
    await this.#redis?.close();
    await rm(this.dataDir, { recursive: true, force: true });
  }
}

/**
 * Starts a stack in a folder of its own; `close` ends it and removes the folder.
 * @throws Error that says why there is no Redis where one is asked for
 */
export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const { env = {}, workers = 0, durable = false, onOutput } = options;
  const storage = options.storage ?? oneOf('folder', 's3')(process.env.TRITFORGE_TEST_STORAGE || 'folder');
  const queue = options.queue ?? oneOf('postgres', 'redis')(process.env.TRITFORGE_TEST_QUEUE || 'postgres');
  const redis = queue === 'redis' ? await startRedis() : null;
  const dataDir = await mkdtemp(join(tmpdir(), 'tritforge-stack-'));
  // The server runs as another user when the tests run as root, and must reach its files.
  await chmod(dataDir, 0o755);
  const postgres = await startEmbeddedPostgres({ dataDir: join(dataDir, 'postgres'), ephemeral: true, durable });
  const databaseUrl = postgres.databaseUrl('tritforge');
  await deployMigrations(databaseUrl);
  const s3 = storage === 's3' ? await startTestS3(join(dataDir, S3_FOLDER)) : null;
  const settings = {
    DATABASE_URL: databaseUrl,
    TRITFORGE_DATA_DIR: dataDir,
    TRITFORGE_PORT: '0',
    REDIS_URL: redis?.redisUrl ?? '',
    TRITFORGE_S3_BUCKET: '',
    TRITFORGE_S3_ENDPOINT: '',
    TRITFORGE_S3_PUBLIC_ENDPOINT: '',
    ...s3?.credentials,
    ...s3?.settings,
    ...env,
  };
  const api = start('api', settings, onOutput);
  const workerProcesses = Array.from({ length: workers }, () => startWorker(settings, onOutput));
  const db = new Client({ connectionString: databaseUrl });
  // A test may stop the database.
  db.on('error', () => {});
  await db.connect();
  return new Stack(await addressOf(api), { settings, postgres, s3, redis }, [api, ...workerProcesses], db);
}

type OnOutput = StackOptions['onOutput'];

function start(program: Program, settings: Readonly<Record<string, string>>, onOutput?: OnOutput): ChildProcess {
  const unread = process.env.TRITFORGE_TEST_LOG ? 'inherit' : 'ignore';
  const child = startProcess(program, settings, onOutput === undefined ? unread : 'pipe');
  if (onOutput === undefined) return child;
  const [, output, errors] = child.stdio;
  // Whoever waits for the address of the API reads its output later; paused, it keeps what comes until then.
  (output as Readable).on('data', (chunk: Buffer) => onOutput(chunk.toString())).pause();
  (errors as Readable).on('data', (chunk: Buffer) => onOutput(chunk.toString()));
  return child;
}

async function startRedis(): Promise<TestRedis> {
  const redis = await startTestRedis();
  if (typeof redis === 'string') throw new Error(redis);
  return redis;
}

function startWorker(settings: Readonly<Record<string, string>>, onOutput?: OnOutput): ChildProcess {
  const worker = start('worker', settings, onOutput);
  worker.stdout?.resume();
  return worker;
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
