import { TritforgeError } from '@tritforge/contracts';
import {
  type ConnectionOptions,
  createPostgresBackend,
  type PostgresConnectionOptions,
  type Processor,
  Queue,
  Worker,
  type WorkerOptions,
} from 'bullmq';

/** Which server dispatches jobs. */
export interface QueueConfig {
  readonly databaseUrl: string;
  readonly redisUrl: string | null;
  /** Keeps the queues of several services on one server apart. */
  readonly prefix: string;
  /** Times that differ from what is usual. */
  readonly timing?: Partial<QueueTiming>;
}

/** How long to wait for what does not answer. */
export interface QueueTiming {
  /** A delivery goes to another consumer once its own has not been heard of for so long. */
  readonly lockMs: number;
  /** A server that is not ready for so long is away. */
  readonly readyMs: number;
  /** And so is one that does not answer a request for so long. */
  readonly answerMs: number;
}

/** Tables of the queue lie beside ours, in a schema of their own that the queue migrates itself. */
const POSTGRES_SCHEMA = 'bullmq';
const POSTGRES_POOL_SIZE = 4;
const CONNECT_TIMEOUT_MS = 5_000;

/**
 * The Redis connection, as options: a connection that is handed over would not be closed with the queue.
 *
 * @param commandRetries null waits for the server for ever, which consumers must
 */
function redisConnection(redisUrl: string, commandRetries: number | null): ConnectionOptions {
  let url: URL;
  try {
    url = new URL(redisUrl);
  } catch (cause) {
    throw new TritforgeError('SERVICE_UNAVAILABLE', 'The Redis URL is not a URL.', {
      remediation: 'Write REDIS_URL as redis://user:password@host:port/database, or rediss:// for TLS.',
      cause,
    });
  }
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: Number(url.port || 6379),
    ...(url.username && { username: decodeURIComponent(url.username) }),
    ...(url.password && { password: decodeURIComponent(url.password) }),
    db: Number(url.pathname.slice(1) || 0),
    ...(url.protocol === 'rediss:' && { tls: { servername: url.hostname } }),
    connectTimeout: CONNECT_TIMEOUT_MS,
    maxRetriesPerRequest: commandRetries,
  };
}

function postgresConnection(databaseUrl: string): PostgresConnectionOptions {
  return {
    connectionString: databaseUrl,
    migrate: true,
    schema: POSTGRES_SCHEMA,
    // What a crash of the server takes from the queue the next reconciliation brings back, so nobody waits until it is on disk.
    options: '-c synchronous_commit=off',
    max: POSTGRES_POOL_SIZE,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
  };
}

// Queue and Worker have a type parameter for their backend, which what is done with them does not depend on.

/** The end that puts jobs on the queue. It gives up soon, since a request waits for it. */
export function createProducer({ databaseUrl, redisUrl, prefix }: QueueConfig): Queue {
  const name = queueName(prefix);
  if (redisUrl !== null) return new Queue(name, { connection: redisConnection(redisUrl, 1) });
  return new Queue(name, { connection: postgresConnection(databaseUrl) }, createPostgresBackend) as unknown as Queue;
}

/** The end that handles jobs. It waits for a server that is away. */
export function createWorker<Result>(
  { databaseUrl, redisUrl, prefix }: QueueConfig,
  handle: Processor<object, Result>,
  options: Omit<WorkerOptions, 'connection'>,
): Worker<object, Result> {
  const name = queueName(prefix);
  if (redisUrl !== null) return new Worker(name, handle, { ...options, connection: redisConnection(redisUrl, null) });
  const connection = postgresConnection(databaseUrl);
  const worker = new Worker(name, handle, { ...options, connection }, createPostgresBackend);
  return worker as unknown as Worker<object, Result>;
}

const queueName = (prefix: string): string => `${prefix}-jobs`;
