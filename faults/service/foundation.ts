/** What a service stands on: servers, and lines to them. */
import { join } from 'node:path';
import { deployMigrations } from '@tritforge/store';
import { startTestS3, type TestS3 } from '@tritforge/store/testing/s3-server';
import type { Closers } from './closers.js';
import { type Line, openLine } from './line.js';
import { type DatabaseServer, openDatabaseServer, openRedisServer, type Server } from './server.js';

/** What a service stores files in, and what dispatches its jobs. */
export interface Backends {
  readonly storage: 'folder' | 's3';
  readonly queue: 'postgres' | 'redis';
}

/** How long a job stays with a worker that is gone: shorter than usual, as it is waited for in so many rounds. */
export const LEASE_SECONDS = 4;

/** Lines to one server; none where the service does without it. */
export type Lines = readonly Line[];

export interface Foundation {
  readonly dataDir: string;
  readonly database: DatabaseServer;
  readonly redis: Server | null;
  readonly s3: TestS3 | null;
  /** To each server one for each user. */
  readonly lines: Readonly<Record<'database' | 'redis' | 'storage', Lines>>;
}

/** @param users how many processes use the servers, each by lines of its own. @throws Error that says what cannot be had */
export async function layFoundation(
  dataDir: string,
  backends: Backends,
  users: number,
  closers: Closers,
): Promise<Foundation> {
  const redis = backends.queue === 'redis' ? await openRedisServer() : null;
  closers.add(() => redis?.close());
  const database = await openDatabaseServer(dataDir);
  closers.add(() => database.stop());
  await deployMigrations(database.url);
  const s3 = backends.storage === 's3' ? await startTestS3(join(dataDir, 's3')) : null;
  closers.add(() => s3?.close());
  const open = (port: number | null) =>
    openLines(port === null ? [] : Array.from({ length: users }, () => port), closers);
  const lines = {
    database: await open(database.port),
    redis: await open(redis?.port ?? null),
    storage: await open(s3 === null ? null : Number(new URL(s3.endpoint).port)),
  };
  return { dataDir, database, redis, s3, lines };
}

/** A line to each of the ports. */
export async function openLines(ports: readonly number[], closers: Closers): Promise<Lines> {
  const lines = await Promise.all(ports.map(openLine));
  closers.add(() => Promise.all(lines.map((line) => line.close())));
  return lines;
}

/** The settings of one of the users. */
export function settingsOf({ dataDir, database, s3, lines }: Foundation, user: number): Record<string, string> {
  const redisLine = lines.redis[user];
  const storageLine = lines.storage[user];
  return {
    DATABASE_URL: Object.assign(new URL(database.url), { port: `${lines.database[user]!.port}` }).href,
    REDIS_URL: redisLine === undefined ? '' : `redis://127.0.0.1:${redisLine.port}`,
    TRITFORGE_DATA_DIR: dataDir,
    TRITFORGE_JOB_LEASE_SECONDS: `${LEASE_SECONDS}`,
    TRITFORGE_WEBHOOK_TARGETS: 'any',
    TRITFORGE_S3_BUCKET: s3?.bucket ?? '',
    TRITFORGE_S3_ENDPOINT: storageLine === undefined ? '' : `http://127.0.0.1:${storageLine.port}`,
    ...s3?.credentials,
  };
}

/** Starts a server that was killed, and lets its lines lead to where it is now. */
export async function startAgain(server: Server, lines: Lines): Promise<void> {
  await server.start();
  for (const line of lines) line.target = server.port;
}
