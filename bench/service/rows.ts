/** What the parts of the benchmark measured, a row for each load. */
import os from 'node:os';
import { commitName } from '../accuracy/versions.js';
import type { Latencies } from './latencies.js';
import type { LoadResult } from './load-result.js';

/** What dispatches jobs. */
export type QueueKind = 'PostgreSQL' | 'Redis';

/** What figures depend on beside the load. */
export interface Surroundings {
  readonly cpu: string;
  readonly cores: number;
  readonly node: string;
  readonly commit: string;
  /** Processes that wanted to run, on average over the minute before. */
  readonly load: number;
}

/** Requests of one kind, and how they were answered. */
export interface Answers {
  /** Answered as they were meant. */
  readonly answered: number;
  readonly seconds: number;
  readonly latencies: Latencies | null;
  readonly failures: Readonly<Record<string, number>>;
  readonly warmUpFailures: Readonly<Record<string, number>>;
}

/** As many requests as connections can send. */
export interface SaturationRow extends Answers {
  readonly part: 'saturation';
  readonly request: string;
  readonly apis: number;
  readonly workers: number;
  readonly connections: number;
  /** What became of the jobs that were created. */
  readonly jobs: JobFate | null;
}

/** Submissions at a rate. */
export interface RateRow extends Answers {
  readonly part: 'rate';
  readonly queue: QueueKind;
  readonly apis: number;
  readonly workers: number;
  readonly perSecond: number;
  readonly jobs: JobFate;
}

/** One thing that was done while many jobs waited. */
export interface QueueRow extends Answers {
  readonly part: 'queue';
  readonly step: string;
  /** Jobs that waited when it began. */
  readonly waiting: number;
  /** At the end of it all. */
  readonly jobs: JobFate | null;
}

/** Many streams of events at once. */
export interface StreamsRow {
  readonly part: 'streams';
  readonly projectStreams: number;
  readonly jobStreams: number;
  readonly jobs: JobFate;
  /** Events that streams received together. */
  readonly received: number;
  /** Streams that did not receive exactly the events of the log, in its order. */
  readonly wrongStreams: number;
  /** From the writing of an event to its arrival. */
  readonly delays: Latencies | null;
  /** Of the API: before there were streams, with all of them, and at most. */
  readonly apiBytes: { readonly before: number; readonly open: number; readonly most: number };
}

/** Memory at one time, in bytes. */
export interface MemorySample {
  readonly seconds: number;
  readonly api: number;
  readonly worker: number;
  readonly postgres: number;
}

/** A steady mix of everything. */
export interface SoakRow {
  readonly part: 'soak';
  readonly minutes: number;
  readonly pipelines: number;
  readonly downloads: number;
  readonly polls: number;
  readonly streams: number;
  readonly deleted: number;
  /** What went wrong, in words. */
  readonly problems: readonly string[];
  readonly pollLatencies: Latencies | null;
  readonly samples: readonly MemorySample[];
  readonly jobs: JobFate;
}

/** What became of the jobs that the service accepted. */
export interface JobFate {
  readonly accepted: number;
  /** By state; `deleted` for those that were deleted after their end. */
  readonly states: Readonly<Record<string, number>>;
  /** Accepted ones that the service does not know any more, or that have not ended. */
  readonly lost: number;
}

export type Measured = SaturationRow | RateRow | QueueRow | StreamsRow | SoakRow;
export type ServiceRow = Measured & Surroundings;

/** The machine and the code as they are now. */
export function surroundings(): Surroundings {
  return {
    cpu: os.cpus()[0]?.model.trim() ?? 'unknown',
    cores: os.availableParallelism(),
    node: process.version,
    commit: commitName(['apps', 'packages', 'prisma', 'bench/service', 'bench/service.ts']),
    load: os.loadavg()[0]!,
  };
}

/** What a row keeps of a load. */
export function answersOf({ answered, seconds, latencies, failures, warmUpFailures }: LoadResult): Answers {
  return { answered, seconds, latencies, failures, warmUpFailures };
}

/** The newest row of each load, in the order of their first appearance. */
export function newestRows(rows: readonly ServiceRow[]): ServiceRow[] {
  return [...new Map(rows.map((row) => [nameOf(row), row])).values()];
}

function nameOf(row: ServiceRow): string {
  switch (row.part) {
    case 'saturation':
      return JSON.stringify([row.part, row.request, row.apis, row.workers]);
    case 'rate':
      return JSON.stringify([row.part, row.queue, row.apis, row.workers, row.perSecond]);
    case 'queue':
      return JSON.stringify([row.part, row.step]);
    default:
      return row.part;
  }
}
