import { connectDatabase, pingDatabase } from '../database.js';
import { ALL_PROJECTS } from '../repositories/reach.js';
import { type AuditLog, createAuditLog } from './audit.js';
import { AuditWriter } from './audit-writer.js';
import { createKeyRepository, type KeyRepository } from './keys.js';
import { createProjectRepository, type ProjectRepository } from './projects.js';

/** Who may use the service. */
export interface AccessStore {
  readonly projects: ProjectRepository;
  readonly keys: KeyRepository;
  readonly audit: AuditLog;
  close(): Promise<void>;
}

/** The part of the store that administration needs: the database alone. @throws TritforgeError SERVICE_UNAVAILABLE */
export async function openAccess(databaseUrl: string): Promise<AccessStore> {
  const db = connectDatabase(databaseUrl);
  try {
    await pingDatabase(db);
  } catch (error) {
    await db.$disconnect();
    throw error;
  }
  return {
    projects: createProjectRepository(db),
    keys: createKeyRepository(db),
    audit: createAuditLog(db, new AuditWriter(db.statements), ALL_PROJECTS),
    close: () => db.$disconnect(),
  };
}
