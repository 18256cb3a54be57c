import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { after, before, test } from 'node:test';
import { type Connection, connectDatabase, Prisma } from './database.js';
import { isDatabaseGone } from './database-errors.js';
import { startTestDatabase, type TestDatabase } from './testing/index.js';

let database: TestDatabase;
before(async () => {
  database = await startTestDatabase();
});
after(() => database.close());

type Query = (db: Connection) => Promise<unknown>;

/** What queries fail with on a database. */
async function failuresOf(databaseUrl: string, queries: readonly Query[]): Promise<unknown[]> {
  const db = connectDatabase(databaseUrl);
  const failures: unknown[] = [];
  for (const query of queries) {
    const failure = await query(db).then(
      () => 'none',
      (error: unknown) => error,
    );
    failures.push(failure);
  }
  await db.$disconnect();
  return failures;
}

const LOOKS: readonly Query[] = [
  (db) => db.job.findFirst(),
  (db) => db.$queryRaw`SELECT 1 AS one`,
  (db) => db.$executeRaw`UPDATE jobs SET phase = NULL`,
  (db) => db.$transaction((tx) => tx.job.findFirst()),
];
const STATEMENT: Query = ({ statements }) => statements.run('one', Prisma.sql`SELECT 1 AS one`);

function allGone(failures: readonly unknown[]): void {
  for (const failure of failures) assert.ok(isDatabaseGone(failure), String(failure));
}

/** Of what is sent past the client, which says it in the words of the service. */
function allUnavailable(failures: readonly unknown[]): void {
  for (const failure of failures)
    assert.equal((failure as { code?: string }).code, 'SERVICE_UNAVAILABLE', String(failure));
}

test('a server that ends a connection is gone, however the query was written', async () => {
  const end: Query = (db) => db.$queryRaw`SELECT pg_terminate_backend(pg_backend_pid())`;
  allGone(await failuresOf(database.databaseUrl, [end, (db) => db.$transaction((tx) => end(tx as Connection))]));
});

test('a server that resets or refuses connections is gone', async () => {
  const server = createServer((socket) => socket.resetAndDestroy()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const url = Object.assign(new URL(database.databaseUrl), { port: `${port}` }).href;
  allGone(await failuresOf(url, LOOKS));
  allUnavailable(await failuresOf(url, [STATEMENT]));
  server.close();
  await once(server, 'close');
  allGone(await failuresOf(url, LOOKS));
  allUnavailable(await failuresOf(url, [STATEMENT]));
});

test('a query that the server refuses is another failure', async () => {
  const [failure] = await failuresOf(database.databaseUrl, [(db) => db.$queryRaw`SELECT nothing FROM nowhere`]);
  assert.ok(failure instanceof Error && !isDatabaseGone(failure), String(failure));
  assert.equal(isDatabaseGone('gone'), false);
  const crowded = Object.assign(new Error('sorry, too many clients already'), { code: '53300' });
  assert.ok(isDatabaseGone(crowded));
});

test('statements past the client fail like its queries, and go on when the server is back', async () => {
  const end: Query = ({ statements }) =>
    statements.run('end', Prisma.sql`SELECT pg_terminate_backend(pg_backend_pid())`);
  const refused: Query = ({ statements }) => statements.run('refused', Prisma.sql`SELECT nothing FROM nowhere`);
  const [ended, none, refusal] = await failuresOf(database.databaseUrl, [end, STATEMENT, refused]);
  allGone([ended]);
  assert.equal(none, 'none');
  assert.ok(refusal instanceof Error && !isDatabaseGone(refusal), String(refusal));
});
