import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startTestDatabase, type TestDatabase } from '../testing/index.js';
import { withClient } from './database-creation.js';
import { deployMigrations, diffMigrations, migrationStatus } from './index.js';
import { readMigrations } from './migration-files.js';

describe('migrations', () => {
  let database: TestDatabase;
  before(async () => {
    database = await startTestDatabase();
  });
  after(() => database.close());

  const urlOf = (name: string): string => database.databaseUrl.replace(/tritforge$/, name);

  it('lead to the schema', async () => {
    assert.equal(await diffMigrations(database.databaseUrl), '');
    const { upToDate } = await migrationStatus(database.databaseUrl);
    assert.equal(upToDate, true);
  });

  it('leave no temporary database behind', async () => {
    const databases = await withClient(database.databaseUrl, (client) =>
      client.query(`SELECT datname FROM pg_database WHERE datname LIKE 'prisma_shadow%'`),
    );
    assert.equal(databases.rowCount, 0);
  });

  it('are applied once to a new database, however many processes start at the same time', async () => {
    const all = (await readMigrations()).map(({ name }) => name);
    const applied = await Promise.all(Array.from({ length: 5 }, () => deployMigrations(urlOf('fresh'))));
    assert.deepEqual(applied.flat(), all);
    assert.deepEqual(await deployMigrations(urlOf('fresh')), []);
  });

  it('are seen to be missing from a database without tables', async () => {
    assert.equal((await migrationStatus(urlOf('postgres'))).upToDate, false);
  });

  it('are seen to be edited when a script no longer is what was applied', async () => {
    await deployMigrations(urlOf('edited'));
    await withClient(urlOf('edited'), (client) =>
      client.query(`UPDATE _prisma_migrations SET checksum = repeat('0', 64)`),
    );
    const { edited, upToDate } = await migrationStatus(urlOf('edited'));
    assert.deepEqual([edited.length > 0, upToDate], [true, false]);
  });

  it('say what is wrong when there is no server', async () => {
    await assert.rejects(deployMigrations('postgresql://nobody:secret@127.0.0.1:1/none'), (error: Error) => {
      assert.match(error.message, /ECONNREFUSED/);
      assert.doesNotMatch(error.message, /secret/);
      return true;
    });
  });
});
