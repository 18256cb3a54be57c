import { type AuditEntry, newId } from '@tritforge/contracts';
import type { Database } from '../database.js';
import type { PrismaClient, AuditEntry as Row } from '../generated/client.js';
import type { Owned } from '../repositories/job-references.js';
import { type Page, type PageRequest, readPage } from '../repositories/page.js';
import type { Reach } from '../repositories/reach.js';
import type { AuditWriter } from './audit-writer.js';

export type NewAuditEntry = Omit<AuditEntry, 'id' | 'at'>;

/** The log of who changed what, and of what expired; nothing in it is ever changed. */
export interface AuditLog {
  /**
   * Resolves when the entry is written, together with others that came by then.
   * @throws TritforgeError SERVICE_UNAVAILABLE, SERVICE_OVERLOADED where too many wait
   */
  record(entry: NewAuditEntry): Promise<void>;
  /** Newest first, with all that was recorded by this process before. @throws TritforgeError CURSOR_INVALID */
  list(page?: PageRequest): Promise<Page<AuditEntry>>;
}

/** @param reach whose entries are listed */
export function createAuditLog(db: PrismaClient, writer: AuditWriter, reach: Reach): AuditLog {
  return {
    record: (entry) => writer.write(entry),
    list: async (request = {}) => {
      await writer.flush();
      const page = await readPage(request, (take, where) =>
        db.auditEntry.findMany({ where: { ...where, ...reach }, orderBy: { id: 'desc' }, take }),
      );
      return { ...page, items: page.items.map(toEntry) };
    },
  };
}

/** What may go because its time is over. */
export type ExpiredResource = 'job' | 'model' | 'dataset';

/** Notes what the service deletes by itself, within the transaction that deletes it. */
export async function recordExpiry(tx: Database, kind: ExpiredResource, expired: readonly Owned[]): Promise<void> {
  const action = `expiry.delete${kind[0]!.toUpperCase()}${kind.slice(1)}`;
  await tx.auditEntry.createMany({
    data: expired.map(({ id, projectId }) => ({ id: newId('audit'), projectId, action, target: `/${kind}s/${id}` })),
  });
}

function toEntry({ at, ...row }: Row): AuditEntry {
  return { ...row, at: at.toISOString() };
}
