import { type AuditEntry, newId } from '@tritforge/contracts';
import { storableText } from '../database.js';
import type { PrismaClient, AuditEntry as Row } from '../generated/client.js';
import { type Page, type PageRequest, readPage } from '../repositories/page.js';
import type { Reach } from '../repositories/reach.js';

export type NewAuditEntry = Omit<AuditEntry, 'id' | 'at'>;

/** The log of who changed what; nothing in it is ever changed. */
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

function toEntry({ at, ...row }: Row): AuditEntry {
  return { ...row, at: at.toISOString() };
}
