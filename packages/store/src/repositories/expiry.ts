/** When models and datasets expire. Times are the database's, so that clocks of processes may differ. */
import { type Database, Prisma } from '../database.js';
import { INPUT_TABLES, type Input } from './job-references.js';
import { type Reach, within } from './reach.js';

/** How long something is kept from now on, in seconds; null until somebody deletes it. */
export type Kept = number | null;

/** The end of that, as SQL; NULL where there is none. */
export function endOf(kept: Kept): Prisma.Sql {
  return Prisma.sql`now() + make_interval(secs => ${kept}::int)`;
}

/** Keeps a model or dataset for so long, and no longer. False when there is none. */
export async function keepFor(db: Database, input: Input, reach: Reach, id: string, kept: Kept): Promise<boolean> {
  const changed = await db.$executeRaw`
    UPDATE ${INPUT_TABLES[input]} SET expires_at = ${endOf(kept)} WHERE id = ${id} AND ${within(reach)}`;
  return changed === 1;
}

/** What a model or dataset is known by. */
export interface Content {
  readonly projectId: string;
  readonly contentKey: string;
}

/**
 * Keeps the model or dataset with this content for at least so long, and from being deleted until the transaction ends. False when there is
 * none.
 */
export async function keepLonger(tx: Database, input: Input, content: Content, kept: Kept): Promise<boolean> {
  const { projectId, contentKey } = content;
  const changed = await tx.$executeRaw`
    UPDATE ${INPUT_TABLES[input]} SET expires_at =
      CASE WHEN expires_at IS NOT NULL AND ${kept}::int IS NOT NULL THEN greatest(expires_at, ${endOf(kept)}) END
    WHERE project_id = ${projectId} AND content_key = ${contentKey}`;
  return changed === 1;
}
