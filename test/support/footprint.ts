/** What a service leaves in its database and its folders. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { QueryResultRow } from 'pg';

/** A connection to a database, or a pool of them. */
interface Database {
  query<Row extends QueryResultRow>(text: string): Promise<{ readonly rows: Row[] }>;
}

/** The rows of each table but the audit log, which notes what was refused, too. */
export async function countRows(db: Database): Promise<Record<string, number>> {
  const tables = await db.query<{ tablename: string }>(
    "select tablename from pg_tables where schemaname = 'public' and tablename <> 'audit_entries' order by 1",
  );
  const counts: [string, number][] = [];
  for (const { tablename } of tables.rows) {
    const { rows } = await db.query<{ count: number }>(`select count(*)::int as count from "${tablename}"`);
    counts.push([tablename, rows[0]!.count]);
  }
  return Object.fromEntries(counts);
}

/** Paths of all files below a folder; none where there is no folder. */
export async function listFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => !entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name));
}
