/** Which part of a list is wanted. */
export interface PageRequest {
  /** Number of items, 1 to 200; 50 by default. */
  readonly limit?: number;
  /** `nextCursor` of the page before; the newest items without it. */
  readonly cursor?: string;
}

/** A part of a list, newest first. Items that are added later do not shift the pages that follow. */
export interface Page<T> {
  readonly items: T[];
  /** Where the next page starts, or null on the last page. */
  readonly nextCursor: string | null;
}
