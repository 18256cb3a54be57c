import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { startEmbeddedPostgres } from '../embedded-postgres/index.js';
import { deployMigrations } from '../migrations/index.js';
import { openStore, type Store, type StoreConfig } from '../store.js';

/** A temporary directory that the embedded server's user can enter, also when root makes it. */
export async function makeTestDir(): Promise<string> {
  const dir = await mkdtemp(path.join(tmpdir(), 'tritforge-test-'));
  await chmod(dir, 0o755);
  return dir;
}

/** A real PostgreSQL server with a migrated database, for one test file. */
export interface TestDatabase {
  readonly databaseUrl: string;
  /** For other files of the tests; deleted by `close`. */
  readonly dir: string;
  close(): Promise<void>;
}

/** Starts a server of its own in a temporary directory; takes about a second. */
export async function startTestDatabase(): Promise<TestDatabase> {
  const dir = await makeTestDir();
  const removeDir = () => rm(dir, { recursive: true, force: true });
  try {
    const postgres = await startEmbeddedPostgres({ dataDir: path.join(dir, 'postgres'), ephemeral: true });
    const databaseUrl = postgres.databaseUrl('tritforge');
    const close = async (): Promise<void> => {
      await postgres.destroy();
      await removeDir();
    };
    await deployMigrations(databaseUrl).catch(async (error) => {
      await close();
      throw error;
    });
    return { databaseUrl, dir, close };
  } catch (error) {
    await removeDir();
    throw error;
  }
}

/** A store on a server of its own. */
export interface TestStore extends TestDatabase {
  readonly store: Store;
}

/** Starts a server and opens a store on it; `close` ends both and deletes everything. */
export async function openTestStore(config: Partial<StoreConfig> = {}): Promise<TestStore> {
  const database = await startTestDatabase();
  const { databaseUrl, dir } = database;
  const store = await openStore({ databaseUrl, blobDir: path.join(dir, 'blobs'), ...config });
  const close = async (): Promise<void> => {
    await store.close();
    await database.close();
  };
  return { ...database, store, close };
}
