/**
 * The database schema: `node scripts/migrate.mjs deploy|status|diff|dev NAME`. The first two work on DATABASE_URL. `dev`
 * writes the migration that leads to prisma/schema.prisma and `diff` prints what it would write; without DATABASE_URL
 * they start a temporary server.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { main, setUp } from './setup.mjs';

const USAGE = 'Usage: node scripts/migrate.mjs deploy | status | diff | dev NAME';

async function withDatabase(command, work) {
  if (process.env.DATABASE_URL) return work(process.env.DATABASE_URL);
  if (command === 'deploy' || command === 'status')
    throw new Error(`Set DATABASE_URL to the database of \`${command}\`.`);
  const { startEmbeddedPostgres } = await import('../packages/store/dist/index.js');
  const dir = mkdtempSync(path.join(tmpdir(), 'tritforge-migrate-'));
  const postgres = await startEmbeddedPostgres({ dataDir: path.join(dir, 'postgres'), ephemeral: true });
  try {
    return await work(postgres.databaseUrl('tritforge'));
  } finally {
    await postgres.destroy();
    rmSync(dir, { recursive: true, force: true });
  }
}

const commands = {
  async deploy(migrations, databaseUrl) {
    const applied = await migrations.deployMigrations(databaseUrl);
    console.log(applied.length ? `Applied ${applied.join(', ')}.` : 'The database is up to date.');
  },
  async status(migrations, databaseUrl) {
    const { upToDate, failed, edited } = await migrations.migrationStatus(databaseUrl);
    console.log(upToDate ? 'The database is up to date.' : 'The database is not at the state of the migrations.');
    if (failed.length) console.log(`Failed: ${failed.join(', ')}`);
    if (edited.length) console.log(`Edited after they were applied: ${edited.join(', ')}`);
    process.exitCode = upToDate ? 0 : 1;
  },
  async diff(migrations, databaseUrl) {
    const script = await migrations.diffMigrations(databaseUrl);
    console.log(script || 'The migrations lead to the schema.');
    process.exitCode = script ? 1 : 0;
  },
  async dev(migrations, databaseUrl, name) {
    if (!name) throw new Error(USAGE);
    const created = await migrations.createMigration(databaseUrl, name);
    console.log(created ? `Wrote prisma/migrations/${created.name}.` : 'The migrations lead to the schema already.');
    for (const warning of created?.warnings ?? []) console.log(`Warning: ${warning}`);
  },
};

await main(async () => {
  const [command, name] = process.argv.slice(2);
  if (!Object.hasOwn(commands, command ?? '')) throw new Error(USAGE);
  setUp();
  const migrations = await import('../packages/store/dist/migrations/index.js');
  await withDatabase(command, (databaseUrl) => commands[command](migrations, databaseUrl, name));
});
