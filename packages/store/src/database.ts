import { PrismaPg } from '@prisma/adapter-pg';
import { TritforgeError } from '@tritforge/contracts';
import pg from 'pg';
import { Prisma, PrismaClient } from './generated/client.js';
import { Statements } from './statements.js';

export { Prisma };

/** The client, or the client of an open transaction. */
export type Database = Prisma.TransactionClient;

/** The client with what is sent past it. */
export type Connection = PrismaClient & { readonly statements: Statements };

const POOL_SIZE = 10;
const CONNECT_TIMEOUT_MS = 10_000;
/** Transactions wait for locks of content that others publish or delete. */
const TRANSACTION_OPTIONS = { maxWait: 10_000, timeout: 30_000 } as const;

/** Connects lazily; errors of idle connections are left to the next query. */
export function connectDatabase(databaseUrl: string): Connection {
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: POOL_SIZE,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
  });
  // Whoever asks next learns of it.
  pool.on('error', () => {});
  const adapter = new PrismaPg(pool, { disposeExternalPool: true });
  const client = new PrismaClient({ adapter, transactionOptions: TRANSACTION_OPTIONS });
  return Object.assign(client, { statements: new Statements(pool) });
}

/** Checks that the server answers and has the tables. @throws TritforgeError SERVICE_UNAVAILABLE */
export async function pingDatabase(db: PrismaClient): Promise<void> {
  try {
    await db.$queryRaw`SELECT 1 FROM jobs LIMIT 1`;
  } catch (cause) {
    throw new TritforgeError('SERVICE_UNAVAILABLE', 'The database does not answer, or its tables are missing.', {
      remediation: 'Check DATABASE_URL and that the migrations are deployed.',
      cause,
    });
  }
}

/** A value as a JSON column takes it. The value must consist of JSON types, which every schema of the contracts does. */
export function toJson(value: unknown): Prisma.InputJsonValue {
  return value as Prisma.InputJsonValue;
}

/** Text as PostgreSQL can store it: without NUL, and with U+FFFD for halves of surrogate pairs. */
export function storableText(text: string): string {
  return text.replaceAll('\0', '').replace(/\p{Surrogate}/gu, '\ufffd');
}
