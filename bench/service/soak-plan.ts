import type { Latencies } from './latencies.js';

/** A steady mix of what pipelines do, until it is told to end. */
export interface SoakPlan {
  readonly url: string;
  readonly key: string;
  /** For files on their way. */
  readonly folder: string;
}

export interface SoakResult {
  /** Jobs that were accepted, and whether they were deleted after their end. */
  readonly jobs: readonly { readonly id: string; readonly isDeleted: boolean }[];
  readonly downloads: number;
  readonly streams: number;
  readonly polls: number;
  readonly pollLatencies: Latencies | null;
  /** What went wrong, in words. */
  readonly problems: readonly string[];
}
