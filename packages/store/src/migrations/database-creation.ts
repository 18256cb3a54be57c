import pg from 'pg';

const ALREADY_EXISTS = new Set(['42P04', '23505']);
const DOES_NOT_EXIST = '3D000';

/** Runs `work` on a connection to the server's maintenance database, `postgres`. */
export async function withAdminClient<T>(databaseUrl: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const adminUrl = new URL(databaseUrl);
  adminUrl.pathname = '/postgres';
  return withClient(adminUrl.href, work);
}

/** Runs `work` on a connection of its own. */
export async function withClient<T>(databaseUrl: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: databaseUrl, connectionTimeoutMillis: 10_000 });
  // A connection that breaks between two queries fails the next one; without a listener it would end the process.
  client.on('error', () => {});
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** Creates the database of the URL unless it exists. Asks for no right to create databases when it does. */
export async function ensureDatabase(databaseUrl: string): Promise<void> {
  try {
    await withClient(databaseUrl, async () => {});
  } catch (error) {
    if ((error as { code?: string }).code !== DOES_NOT_EXIST) throw error;
    await createDatabase(databaseUrl);
  }
}

async function createDatabase(databaseUrl: string): Promise<void> {
  const name = decodeURIComponent(new URL(databaseUrl).pathname.slice(1));
  try {
    await withAdminClient(databaseUrl, (client) => client.query(`CREATE DATABASE ${pg.escapeIdentifier(name)}`));
  } catch (error) {
    if (!ALREADY_EXISTS.has((error as { code?: string }).code ?? '')) throw error;
  }
}
