import { startTestRedis, type TestRedis } from '@tritforge/store/testing/redis-server';
import { Client } from 'pg';
import { clientOf } from '#test/support/keys';
import { type Stack, startStack } from '#test/support/stack';
import type { JobFate, QueueKind } from './rows.js';

/** What a service is made of. */
export interface ServiceSetup {
  readonly queue?: QueueKind;
  readonly apis?: number;
  readonly workers?: number;
}

/** A service of its own for one part of the benchmark. */
export interface RunningService {
  readonly stack: Stack;
  /** Of each API process. */
  readonly urls: readonly string[];
  /** Secrets of keys of one project; each is a sender of its own. */
  readonly keys: readonly string[];
}

const KEYS = 4;
const ENDED = ['succeeded', 'failed', 'canceled', 'expired'];

/**
 * Starts real processes with a PostgreSQL server that waits for the disk, on loopback, and ends them when the work has ended.
 * @throws Error when there is no Redis to start
 */
export async function withService<T>(
  { queue = 'PostgreSQL', apis = 1, workers = 0 }: ServiceSetup,
  work: (service: RunningService) => Promise<T>,
): Promise<T> {
  const redis = queue === 'Redis' ? await startRedis() : null;
  try {
    const stack = await startStack({
      durable: true,
      workers,
      storage: 'folder',
      env: { TRITFORGE_ANONYMOUS: 'never', REDIS_URL: redis?.redisUrl ?? '' },
    });
    try {
      const further: string[] = [];
      for (let i = 1; i < apis; i++) further.push((await stack.startApi()).url);
      const keys: string[] = [];
      for (let i = 0; i < KEYS; i++) keys.push((await clientOf(stack, 'benchmark')).secret);
      return await work({ stack, urls: [stack.url, ...further], keys });
    } finally {
      await stack.close();
    }
  } finally {
    await redis?.close();
  }
}

async function startRedis(): Promise<TestRedis> {
  const redis = await startTestRedis();
  if (typeof redis === 'string') throw new Error(redis);
  return redis;
}

/** The headers of a request with a key. */
export function withKey(secret: string): Record<string, string> {
  return { authorization: `Bearer ${secret}` };
}

/** Asks the database of a service, past the service. */
export async function query<Row extends object>(
  { stack }: RunningService,
  text: string,
  values: unknown[] = [],
): Promise<Row[]> {
  const client = new Client({ connectionString: stack.databaseUrl });
  await client.connect();
  try {
    return (await client.query(text, values)).rows as Row[];
  } finally {
    await client.end();
  }
}

/**
 * What became of jobs that were accepted, by their rows.
 * @param deleted those that somebody deleted after their end
 */
export async function fateOf(
  service: RunningService,
  accepted: readonly string[],
  deleted: readonly string[] = [],
): Promise<JobFate> {
  const rows = await query<{ id: string; state: string }>(service, 'SELECT id, state::text FROM jobs');
  const states = new Map([
    ...rows.map(({ id, state }) => [id, state] as const),
    ...deleted.map((id) => [id, 'deleted'] as const),
  ]);
  const counts: Record<string, number> = {};
  for (const id of accepted) {
    const state = states.get(id) ?? 'unknown';
    counts[state] = (counts[state] ?? 0) + 1;
  }
  const lost = accepted.filter((id) => ![...ENDED, 'deleted'].includes(states.get(id) ?? 'unknown')).length;
  return { accepted: accepted.length, states: counts, lost };
}
