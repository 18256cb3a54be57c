import { TritforgeError } from '@tritforge/contracts';

const DEFAULT_LIMIT = 50;
const MAX_LIMIT = 200;
const ID = /^[a-z]{3}_[0-9a-z]{26}$/;

/** Which part of a list is wanted. */
export interface PageRequest {
  /** Number of items, 1 to 200; 50 by default. */
  readonly limit?: number | undefined;
  /** `nextCursor` of the page before; the newest items without it. */
  readonly cursor?: string | undefined;
}

/** A part of a list, newest first. Items that are added later do not shift the pages that follow. */
export interface Page<T> {
  readonly items: T[];
  /** Where the next page starts, or null on the last page. */
  readonly nextCursor: string | null;
}

/** The `take` and the id that the page lies below, for a query in descending order of ids. */
interface PageQuery {
  readonly take: number;
  readonly beforeId: string | null;
}

/** Asks for one row more than the page has, which tells whether there is a next one. */
function pageQuery({ limit = DEFAULT_LIMIT, cursor }: PageRequest): PageQuery {
  const take = Math.min(Math.max(1, Math.trunc(limit)), MAX_LIMIT) + 1;
  return { take, beforeId: cursor === undefined ? null : decodeCursor(cursor) };
}

function decodeCursor(cursor: string): string {
  const id = Buffer.from(cursor, 'base64url').toString('latin1');
  if (ID.test(id)) return id;
  throw new TritforgeError('CURSOR_INVALID', 'The cursor was not given out by this service.', {
    field: 'cursor',
    remediation: 'Use nextCursor of the page before as it is, or leave the cursor out to start anew.',
  });
}

/**
 * Reads one page.
 *
 * @param read fetches at most `take` rows below the given id, in descending order of ids
 */
export async function readPage<T extends { id: string }>(
  request: PageRequest,
  read: (take: number, below: { id?: { lt: string } }) => Promise<T[]>,
): Promise<Page<T>> {
  const { take, beforeId } = pageQuery(request);
  const rows = await read(take, beforeId === null ? {} : { id: { lt: beforeId } });
  const items = rows.slice(0, take - 1);
  const last = items.at(-1);
  const hasNext = rows.length === take && last !== undefined;
  return { items, nextCursor: hasNext ? Buffer.from(last.id, 'latin1').toString('base64url') : null };
}
