import { availableParallelism } from 'node:os';
import { machineMemoryBytes } from '@tritforge/quant-core/process';
import { integer, readSettings, type Settings, SHARED_SETTINGS, type SharedConfig, text } from '@tritforge/store';
import { TELEMETRY_SETTINGS, type TelemetryConfig } from '@tritforge/telemetry';

/** What the worker process can be told. Sizes in bytes, times in the unit their name says. */
export interface WorkerConfig extends SharedConfig, TelemetryConfig {
  readonly concurrency: number;
  readonly jobMemoryBytes: number;
  readonly jobScratchBytes: number;
  readonly jobSeconds: number;
  readonly jobLeaseSeconds: number;
  readonly jobThreads: number;
  readonly jobSolverThreads: number;
  readonly jobNiceness: number;
  readonly metricsHost: string;
  readonly metricsPort: number | null;
}

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const LARGEST = Number.MAX_SAFE_INTEGER;
const HOUR_SECONDS = 3600;
const WEEK_SECONDS = 7 * 24 * HOUR_SECONDS;
const JOB_MEMORY_SHARE = 0.75;

/** Every environment variable of the worker: its name, default, check and meaning. */
export const SETTINGS: Settings<WorkerConfig> = {
  ...SHARED_SETTINGS,
  ...TELEMETRY_SETTINGS,
  concurrency: {
    env: 'TRITFORGE_WORKER_CONCURRENCY',
    fallback: 1,
    meaning: 'Jobs that one worker process runs at once, each in a process of its own.',
    parse: integer(1, 256),
  },
  jobMemoryBytes: {
    env: 'TRITFORGE_JOB_MEMORY_BYTES',
    fallback: Math.floor(machineMemoryBytes() * JOB_MEMORY_SHARE),
    meaning: 'Memory that the process of a job may use; three quarters of the machine when unset.',
    parse: integer(128 * MIB, LARGEST),
  },
  jobScratchBytes: {
    env: 'TRITFORGE_JOB_SCRATCH_BYTES',
    fallback: 64 * GIB,
    meaning: 'Bytes of scratch files that a job may have at a time.',
    parse: integer(MIB, LARGEST),
  },
  jobSeconds: {
    env: 'TRITFORGE_JOB_SECONDS',
    fallback: 24 * 3600,
    meaning: 'Deadline of jobs that name none.',
    parse: integer(1, WEEK_SECONDS),
  },
  jobLeaseSeconds: {
    env: 'TRITFORGE_JOB_LEASE_SECONDS',
    fallback: 10,
    meaning: 'How long a job stays with a worker that nobody hears of; then another one takes it.',
    parse: integer(2, HOUR_SECONDS),
  },
  jobThreads: {
    env: 'TRITFORGE_JOB_THREADS',
    fallback: 1,
    meaning: 'Threads within one operator when models are evaluated and timed.',
    parse: integer(1, 1024),
  },
  jobSolverThreads: {
    env: 'TRITFORGE_JOB_SOLVER_THREADS',
    fallback: availableParallelism(),
    meaning: 'Threads that the layers of a job are solved on; one per core when unset. Results do not depend on it.',
    parse: integer(1, 1024),
  },
  jobNiceness: {
    env: 'TRITFORGE_JOB_NICENESS',
    fallback: 10,
    meaning:
      'How much jobs yield the processor to other processes of the machine, such as the API and PostgreSQL: 0 (not at all) to 19.',
    parse: integer(0, 19),
  },
  metricsHost: {
    env: 'TRITFORGE_WORKER_METRICS_HOST',
    fallback: '127.0.0.1',
    meaning: 'Address on which a worker answers `GET /metrics`, to anybody who reaches it.',
    parse: text,
  },
  metricsPort: {
    env: 'TRITFORGE_WORKER_METRICS_PORT',
    fallback: null,
    meaning:
      'Port on which a worker answers `GET /metrics` and `GET /health/live`; none when unset, 0 takes a free one.',
    parse: integer(0, 65535),
  },
};

/** Reads the settings from environment variables. @throws Error that names the variable and what would be right */
export function readConfig(env: Readonly<Record<string, string | undefined>>): WorkerConfig {
  return readSettings(SETTINGS, env);
}
