import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { TritforgeError } from '@tritforge/contracts';
import type { Client } from 'pg';
import { LOCKS } from '../locks.js';
import { ensureDatabase, withClient } from './database-creation.js';
import { MIGRATIONS_DIR, type Migration, readMigrations } from './migration-files.js';
import { withSchemaEngine } from './schema-engine.js';

/**
 * Brings the database to the newest schema, creating it when missing. Processes that start together take turns.
 * Returns the names of the migrations that were applied.
 *
 * @throws TritforgeError SERVICE_UNAVAILABLE when the server cannot be reached or a migration fails.
 */
export async function deployMigrations(databaseUrl: string): Promise<string[]> {
  try {
    await ensureDatabase(databaseUrl);
    const migrations = await readMigrations();
    return await withClient(databaseUrl, async (client) => {
      await client.query('SELECT pg_advisory_lock($1)', [LOCKS.migrations]);
      if (await isUpToDate(client, migrations)) return [];
      return withSchemaEngine(databaseUrl, (engine) => engine.deploy());
    });
  } catch (error) {
    throw new TritforgeError('SERVICE_UNAVAILABLE', `The database could not be migrated: ${messageOf(error)}`, {
      remediation: 'Check DATABASE_URL, that the server runs and that its user may create tables.',
      cause: error,
    });
  }
}

/** Whether the ledger has every migration, unchanged and finished. Saves loading the schema engine at most starts. */
async function isUpToDate(client: Client, migrations: readonly Migration[]): Promise<boolean> {
  const ledger = await client.query<{ present: boolean }>(
    `SELECT to_regclass('public._prisma_migrations') IS NOT NULL AS present`,
  );
  if (!ledger.rows[0]?.present) return false;
  const { rows } = await client.query<{ migration_name: string; checksum: string }>(
    'SELECT migration_name, checksum FROM public._prisma_migrations WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL',
  );
  const applied = new Map(rows.map((row) => [row.migration_name, row.checksum]));
  return migrations.every(({ name, checksum }) => applied.get(name) === checksum);
}

/** How the database stands against the migrations. */
export interface MigrationStatus {
  readonly upToDate: boolean;
  readonly failed: string[];
  /** Migrations whose file changed after they were applied. */
  readonly edited: string[];
}

/** Compares the database with the migrations without changing anything. */
export async function migrationStatus(databaseUrl: string): Promise<MigrationStatus> {
  const status = await withSchemaEngine(databaseUrl, (engine) => engine.status());
  const { failedMigrationNames: failed, editedMigrationNames: edited } = status;
  const upToDate = status.hasMigrationsTable && !status.history && failed.length === 0 && edited.length === 0;
  return { upToDate, failed, edited };
}

/** The SQL that leads from the migrations to `schema.prisma`; empty when they agree. Uses a temporary database. */
export async function diffMigrations(databaseUrl: string): Promise<string> {
  await ensureDatabase(databaseUrl);
  return withSchemaEngine(databaseUrl, (engine) => engine.diff());
}

/** A migration that was written, and the warnings about data that it deletes. */
export interface NewMigration {
  readonly name: string;
  readonly warnings: string[];
}

/**
 * Writes the migration that leads to `schema.prisma` and applies it. Null when there is nothing to do. For development:
 * the database must be at the state of the migrations.
 *
 * @public called by scripts/migrate.mjs
 */
export async function createMigration(databaseUrl: string, label: string): Promise<NewMigration | null> {
  await ensureDatabase(databaseUrl);
  await withSchemaEngine(databaseUrl, (engine) => engine.deploy());
  const drafted = await withSchemaEngine(databaseUrl, async (engine) => {
    const { reset, losses } = await engine.diagnose();
    if (reset !== null) throw new Error(`The database differs from the migrations: ${reset}`);
    return { ...(await engine.draft(label)), warnings: losses };
  });
  if (drafted.script === null) return null;
  const dir = path.join(MIGRATIONS_DIR, drafted.name);
  await mkdir(dir);
  await writeFile(path.join(dir, 'migration.sql'), drafted.script);
  await deployMigrations(databaseUrl);
  return { name: drafted.name, warnings: drafted.warnings };
}

function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message || String((error as { code?: string }).code) : String(error);
  return message.split('\n   0:')[0] ?? message;
}
