import type { Latencies } from './latencies.js';

/** Streams that a process opens one after the other, and reads until it is told to end. */
export interface StreamsPlan {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly paths: readonly string[];
}

export interface StreamsResult {
  /** Of the events that were written when all streams were open. */
  readonly delays: Latencies | null;
  /** Of every stream, in the order in which they came. */
  readonly eventIds: readonly (readonly number[])[];
}
