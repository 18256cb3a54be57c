import { UPLOAD_LEASE_MS } from '@tritforge/store';
import { type Backends, LEASE_SECONDS } from './service/foundation.js';

/** A kind of fault. */
export interface FaultKindInfo {
  readonly meaning: string;
  /** Ways in which it comes; the plan of a round chooses one. */
  readonly ways: readonly string[];
  /** The shortest and the longest time that it lasts, in milliseconds. */
  readonly lastsMs: readonly [number, number];
  /** The backend without which there is nothing to do it to. */
  readonly needs?: Partial<Backends>;
}

const LINE_WAYS = ['cut', 'closed', 'silent'];
const PAUSE_WAYS = ['alone', 'with its children'];
const SHORT_MS = [200, 3_000] as const;

/** Every kind of fault. */
export const FAULT_KINDS = {
  'kill-api': { meaning: 'kill -9 of an API process, started again later', ways: ['once'], lastsMs: SHORT_MS },
  'kill-worker': { meaning: 'kill -9 of a worker, started again later', ways: ['once'], lastsMs: SHORT_MS },
  'kill-child': {
    meaning: 'kill -9 of the process in which a worker or an API has a model',
    ways: ['of a worker', 'of an API'],
    lastsMs: SHORT_MS,
  },
  'kill-database': {
    meaning: 'kill -9 of PostgreSQL, started again later on its data',
    ways: ['once'],
    lastsMs: SHORT_MS,
  },
  'kill-redis': {
    meaning: 'kill -9 of Redis, started again later without data',
    ways: ['once'],
    lastsMs: SHORT_MS,
    needs: { queue: 'redis' },
  },
  'cut-api': {
    meaning: 'connections of clients to an API reset, refused or silent for a while',
    ways: LINE_WAYS,
    lastsMs: SHORT_MS,
  },
  'cut-database': {
    meaning: 'connections of a process to PostgreSQL reset, refused or silent for a while',
    ways: LINE_WAYS,
    lastsMs: [200, 12_000],
  },
  'cut-redis': {
    meaning: 'connections of a process to Redis reset, refused or silent for a while',
    ways: LINE_WAYS,
    lastsMs: [200, 12_000],
    needs: { queue: 'redis' },
  },
  'cut-storage': {
    meaning: 'connections of a process to the bucket reset, refused or silent for a while',
    ways: LINE_WAYS,
    lastsMs: [200, 12_000],
    needs: { storage: 's3' },
  },
  'full-disk': {
    meaning: 'no file of a process and its children grows beyond a size for a while (RLIMIT_FSIZE)',
    ways: ['of a worker', 'of an API'],
    lastsMs: [500, 6_000],
  },
  'pause-worker': {
    meaning: 'a worker is stopped for longer than its lease (SIGSTOP), and goes on (SIGCONT)',
    ways: PAUSE_WAYS,
    lastsMs: [LEASE_SECONDS * 1000 + 500, LEASE_SECONDS * 1000 + 3_000],
  },
  'pause-api': {
    meaning: 'an API process is stopped for longer than its lease of an upload (SIGSTOP), and goes on (SIGCONT)',
    ways: PAUSE_WAYS,
    lastsMs: [UPLOAD_LEASE_MS + 500, UPLOAD_LEASE_MS + 3_000],
  },
  'duplicate-deliveries': {
    meaning: 'every job is put on the queue again and again, whatever its state',
    ways: ['behind others', 'before others'],
    lastsMs: [500, 5_000],
  },
  'delay-deliveries': {
    meaning: 'deliveries are taken off the queue and put there later',
    ways: ['once'],
    lastsMs: [1_000, 6_000],
  },
} as const satisfies Record<string, FaultKindInfo>;

export type FaultKind = keyof typeof FAULT_KINDS;

/** The kinds that a service on these backends can meet. */
export function kindsFor(backends: Backends): FaultKind[] {
  return (Object.keys(FAULT_KINDS) as FaultKind[]).filter((kind) => {
    const { needs = {} }: FaultKindInfo = FAULT_KINDS[kind];
    return Object.entries(needs).every(([name, value]) => backends[name as keyof Backends] === value);
  });
}
