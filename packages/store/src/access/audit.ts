import { type AuditEntry, newId } from '@tritforge/contracts';
import { type Database, storableText } from '../database.js';
import type { PrismaClient, AuditEntry as Row } from '../generated/client.js';
import type { Owned } from '../repositories/job-references.js';
import { type Page, type PageRequest, readPage } from '../repositories/page.js';
import type { Reach } from '../repositories/reach.js';

export type NewAuditEntry = Omit<AuditEntry, 'id' | 'at'>;

/** The log of who changed what, and of what expired; nothing in it is ever changed. */
export interface AuditLog {
  record(entry: NewAuditEntry): Promise<void>;
  /** Newest first. @throws TritforgeError CURSOR_INVALID */
  list(page?: PageRequest): Promise<Page<AuditEntry>>;
}

/** @param reach whose entries are listed */
export function createAuditLog(db: PrismaClient, reach: Reach): AuditLog {
  return {
    record: async ({ action, target, ...entry }) => {
      await db.auditEntry.create({
        data: { ...entry, id: newId('audit'), action: storableText(action), target: storableText(target) },
      });
    },
    list: async (request = {}) => {
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
