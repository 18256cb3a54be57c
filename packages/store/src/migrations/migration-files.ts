import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder with `schema.prisma` and `migrations/`, beside the workspaces. */
export const PRISMA_DIR = fileURLToPath(new URL('../../../../prisma/', import.meta.url));

/** The folder that the schema engine reads and writes. */
export const MIGRATIONS_DIR = path.join(PRISMA_DIR, 'migrations');

/** A migration as it lies in its folder. */
export interface Migration {
  readonly name: string;
  readonly script: string;
  /** SHA-256 of the script, as the ledger in the database keeps it. */
  readonly checksum: string;
}

/** All migrations in the order in which they apply. */
export async function readMigrations(dir: string = MIGRATIONS_DIR): Promise<Migration[]> {
  const entries = await readdir(dir, { withFileTypes: true });
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  return Promise.all(
    names.sort().map(async (name) => {
      const script = await readFile(path.join(dir, name, 'migration.sql'), 'utf8');
      return { name, script, checksum: createHash('sha256').update(script).digest('hex') };
    }),
  );
}
