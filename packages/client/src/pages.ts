import type { Transport } from './http/transport.js';
import type { CallOptions } from './options.js';

/** How a list is read. */
export interface PageOptions extends CallOptions {
  /** Items of one request, from 1 to 200. */
  readonly pageSize?: number | undefined;
}

interface Page<T> {
  readonly items: readonly T[];
  readonly nextCursor: string | null;
}

/** The items of a list, page after page. @throws as {@link Transport.send} */
export async function* pages<T>(
  transport: Transport,
  path: string,
  query: URLSearchParams,
  { pageSize, signal }: PageOptions,
): AsyncGenerator<T> {
  const asked = new URLSearchParams(query);
  if (pageSize !== undefined) asked.set('limit', String(pageSize));
  for (;;) {
    const page: Page<T> = await transport.json({ method: 'GET', path: `${path}?${asked}`, signal });
    yield* page.items;
    if (page.nextCursor === null) return;
    asked.set('cursor', page.nextCursor);
  }
}
