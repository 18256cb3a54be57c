import { Redis } from 'ioredis';
import pg from 'pg';
import {
  RateLimiterPostgres,
  RateLimiterRedis,
  RateLimiterRes,
  type RateLimiterStoreAbstract,
} from 'rate-limiter-flexible';
import type { PrismaClient } from '../generated/client.js';

/** Where a key stands in its minute. */
export interface RateState {
  readonly isAllowed: boolean;
  readonly limit: number;
  readonly remaining: number;
  /** Until the minute is over and all requests are free again. */
  readonly resetSeconds: number;
}

/** Counts requests by key, together for all processes of the service: in Redis, or in PostgreSQL where there is none. */
export interface RateLimits {
  /** Takes one of the requests that a key may send in a minute. @throws when the backend does not answer */
  take(keyId: string, perMinute: number): Promise<RateState>;
  close(): Promise<void>;
}

const WINDOW_SECONDS = 60;
const TABLE = 'rate_limits';
const CONNECT_TIMEOUT_MS = 5_000;

/** Connects when the first request is counted. */
export function openRateLimits({
  databaseUrl,
  redisUrl,
}: {
  databaseUrl: string;
  redisUrl: string | null;
}): RateLimits {
  let backend: Backend | null = null;
  const limiters = new Map<number, RateLimiterStoreAbstract>();
  return {
    take: async (keyId, perMinute) => {
      backend ??= redisUrl === null ? postgresBackend(databaseUrl) : redisBackend(redisUrl);
      const limiter = limiters.get(perMinute) ?? backend.limiter(perMinute);
      limiters.set(perMinute, limiter);
      return limiter.consume(keyId).then(
        (state) => rateState(true, perMinute, state),
        (refused: unknown) => {
          if (refused instanceof RateLimiterRes) return rateState(false, perMinute, refused);
          throw refused;
        },
      );
    },
    close: async () => backend?.close(),
  };
}

interface Backend {
  limiter(points: number): RateLimiterStoreAbstract;
  close(): Promise<void>;
}

function postgresBackend(databaseUrl: string): Backend {
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 2, connectionTimeoutMillis: CONNECT_TIMEOUT_MS });
  // A connection that breaks fails the next query.
  pool.on('error', () => {});
  return {
    limiter: (points) =>
      new RateLimiterPostgres({
        storeClient: pool,
        tableName: TABLE,
        tableCreated: true,
        clearExpiredByTimeout: false,
        keyPrefix: '',
        points,
        duration: WINDOW_SECONDS,
      }),
    close: () => pool.end(),
  };
}

function redisBackend(redisUrl: string): Backend {
  const client = new Redis(redisUrl, { maxRetriesPerRequest: 1, connectTimeout: CONNECT_TIMEOUT_MS });
  client.on('error', () => {});
  return {
    limiter: (points) =>
      new RateLimiterRedis({ storeClient: client, keyPrefix: 'tritforge-rate', points, duration: WINDOW_SECONDS }),
    close: async () => client.disconnect(),
  };
}

/** Forgets minutes that are over. Returns how many those are. */
export function sweepRateCounts(db: PrismaClient): Promise<number> {
  return db.$executeRaw`DELETE FROM rate_limits WHERE expire < extract(epoch FROM now()) * 1000`;
}

function rateState(isAllowed: boolean, limit: number, { remainingPoints, msBeforeNext }: RateLimiterRes): RateState {
  const resetSeconds = Math.ceil(Math.max(msBeforeNext, 0) / 1000);
  return { isAllowed, limit, remaining: Math.max(remainingPoints, 0), resetSeconds };
}
