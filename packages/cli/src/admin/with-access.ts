import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { TritforgeError } from '@tritforge/contracts';
import {
  type AccessStore,
  deployMigrations,
  openAccess,
  readSettings,
  SHARED_SETTINGS,
  startEmbeddedPostgres,
} from '@tritforge/store';

/**
 * Works on the database of a service, which may be running: that of DATABASE_URL, or else the embedded one in the folder
 * TRITFORGE_DATA_DIR, which is started for as long as it takes.
 * @throws TritforgeError USAGE_INVALID where there is no such folder, SERVICE_UNAVAILABLE
 */
export async function withAccess<T>(work: (access: AccessStore) => Promise<T>): Promise<T> {
  const { databaseUrl, dataDir } = readSettings(SHARED_SETTINGS, process.env);
  if (databaseUrl !== null) return onDatabase(databaseUrl, work);
  if (!existsSync(dataDir)) throw nothingThere(dataDir);
  const onNotice = (message: string) => void process.stderr.write(`${message}\n`);
  const postgres = await startEmbeddedPostgres({ dataDir: join(dataDir, 'postgres'), onNotice });
  try {
    return await onDatabase(postgres.databaseUrl('tritforge'), work);
  } finally {
    if (!postgres.reused) await postgres.stop();
  }
}

async function onDatabase<T>(databaseUrl: string, work: (access: AccessStore) => Promise<T>): Promise<T> {
  await deployMigrations(databaseUrl);
  const access = await openAccess(databaseUrl);
  try {
    return await work(access);
  } finally {
    await access.close();
  }
}

function nothingThere(dataDir: string): TritforgeError {
  return new TritforgeError('USAGE_INVALID', `No service has its data in ${dataDir}.`, {
    remediation: 'Set TRITFORGE_DATA_DIR to the data folder of the service, or DATABASE_URL to its database.',
  });
}
