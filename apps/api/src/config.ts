import { KEPT_SECONDS } from '@tritforge/contracts';
import {
  integer,
  oneOf,
  readSettings,
  type Settings,
  SHARED_SETTINGS,
  type SharedConfig,
  text,
} from '@tritforge/store';
import { TELEMETRY_SETTINGS, type TelemetryConfig } from '@tritforge/telemetry';

/** What the API process can be told. Sizes in bytes, times in the unit their name says. */
export interface ApiConfig extends SharedConfig, TelemetryConfig {
  readonly host: string;
  readonly port: number;
  /** Who needs no API key. */
  readonly anonymous: 'loopback' | 'always' | 'never';
  readonly maxUploadBytes: number;
  readonly maxUploadParts: number;
  readonly maxJsonBytes: number;
  readonly maxConcurrentUploads: number;
  readonly uploadIdleSeconds: number;
  readonly slowClientSeconds: number;
  readonly maxProjectUploads: number;
  readonly maxProjectUploadBytes: number;
  readonly uploadLifetimeSeconds: number;
  /** How long resources are kept whose sender does not say it; null until somebody deletes them. */
  readonly modelRetentionSeconds: number | null;
  readonly datasetRetentionSeconds: number | null;
  readonly jobRetentionSeconds: number | null;
  readonly maxEventStreams: number;
  readonly maxConcurrentInspections: number;
  readonly maxWaitingInspections: number;
  readonly inspectionMemoryBytes: number;
  readonly inspectionSeconds: number;
  readonly maxEventLoopDelayMs: number;
  readonly shutdownSeconds: number;
}

const GIB = 2 ** 30;
const LARGEST = Number.MAX_SAFE_INTEGER;

/** Every environment variable of the API: its name, default, check and meaning. */
export const SETTINGS: Settings<ApiConfig> = {
  ...SHARED_SETTINGS,
  ...TELEMETRY_SETTINGS,
  host: { env: 'TRITFORGE_HOST', fallback: '127.0.0.1', meaning: 'Address to listen on.', parse: text },
  port: {
    env: 'TRITFORGE_PORT',
    fallback: 8080,
    meaning: 'Port to listen on; 0 takes a free one.',
    parse: integer(0, 65535),
  },
  anonymous: {
    env: 'TRITFORGE_ANONYMOUS',
    fallback: 'loopback',
    meaning:
      'Who may do everything in the project default without an API key: loopback (requests from this machine that no proxy passed on), always (whoever reaches the port) or never.',
    parse: oneOf('loopback', 'always', 'never') as (text: string) => ApiConfig['anonymous'],
  },
  maxUploadBytes: {
    env: 'TRITFORGE_MAX_UPLOAD_BYTES',
    fallback: 16 * GIB,
    meaning: 'Largest body of an upload.',
    parse: integer(1, LARGEST),
  },
  maxUploadParts: {
    env: 'TRITFORGE_MAX_UPLOAD_PARTS',
    fallback: 256,
    meaning: 'Most parts of a multipart upload.',
    parse: integer(1, 10_000),
  },
  maxJsonBytes: {
    env: 'TRITFORGE_MAX_JSON_BYTES',
    fallback: 2 ** 20,
    meaning: 'Largest JSON body, or JSON part of a multipart body.',
    parse: integer(1024, 2 ** 28),
  },
  maxConcurrentUploads: {
    env: 'TRITFORGE_MAX_CONCURRENT_UPLOADS',
    fallback: 64,
    meaning: 'Uploads received at once; more are answered 503 with Retry-After.',
    parse: integer(1, 10_000),
  },
  uploadIdleSeconds: {
    env: 'TRITFORGE_UPLOAD_IDLE_SECONDS',
    fallback: 60,
    meaning: 'How long an upload may stand still before it is given up. Its total time is not limited.',
    parse: integer(1, 3600),
  },
  slowClientSeconds: {
    env: 'TRITFORGE_SLOW_CLIENT_SECONDS',
    fallback: 60,
    meaning:
      'How long the head of a request and a JSON body may take to arrive, and how long a client may take nothing of an answer.',
    parse: integer(1, 3600),
  },
  maxProjectUploads: {
    env: 'TRITFORGE_MAX_PROJECT_UPLOADS',
    fallback: 100,
    meaning: 'Resumable uploads that a project may have at a time, finished ones included.',
    parse: integer(0, 100_000),
  },
  maxProjectUploadBytes: {
    env: 'TRITFORGE_MAX_PROJECT_UPLOAD_BYTES',
    fallback: 64 * GIB,
    meaning: 'Bytes of the resumable uploads of a project together, as announced.',
    parse: integer(0, LARGEST),
  },
  uploadLifetimeSeconds: {
    env: 'TRITFORGE_UPLOAD_LIFETIME_SECONDS',
    fallback: 24 * 3600,
    meaning: 'How long a resumable upload is kept after its creation, finished or not.',
    parse: integer(1, 365 * 24 * 3600),
  },
  modelRetentionSeconds: {
    env: 'TRITFORGE_MODEL_RETENTION_SECONDS',
    fallback: null,
    meaning: 'How long models are kept whose upload does not say it; until somebody deletes them when unset.',
    parse: integer(KEPT_SECONDS.minimum, KEPT_SECONDS.maximum),
  },
  datasetRetentionSeconds: {
    env: 'TRITFORGE_DATASET_RETENTION_SECONDS',
    fallback: null,
    meaning: 'The same for datasets.',
    parse: integer(KEPT_SECONDS.minimum, KEPT_SECONDS.maximum),
  },
  jobRetentionSeconds: {
    env: 'TRITFORGE_JOB_RETENTION_SECONDS',
    fallback: null,
    meaning:
      'How long jobs are kept after their end, with report and artifacts, when they do not say it; until somebody deletes them when unset.',
    parse: integer(KEPT_SECONDS.minimum, KEPT_SECONDS.maximum),
  },
  maxEventStreams: {
    env: 'TRITFORGE_MAX_EVENT_STREAMS',
    fallback: 1000,
    meaning: 'Streams of events open at once; more are answered 503 with Retry-After.',
    parse: integer(0, 100_000),
  },
  maxConcurrentInspections: {
    env: 'TRITFORGE_MAX_CONCURRENT_INSPECTIONS',
    fallback: 2,
    meaning: 'Uploads checked at once, each in a process of its own; others wait.',
    parse: integer(1, 256),
  },
  maxWaitingInspections: {
    env: 'TRITFORGE_MAX_WAITING_INSPECTIONS',
    fallback: 64,
    meaning: 'Uploads that may wait for their check; more are answered 503 with Retry-After.',
    parse: integer(0, 10_000),
  },
  inspectionMemoryBytes: {
    env: 'TRITFORGE_INSPECTION_MEMORY_BYTES',
    fallback: 2 * GIB,
    meaning: 'Memory that the process which checks an upload may use.',
    parse: integer(2 ** 27, LARGEST),
  },
  inspectionSeconds: {
    env: 'TRITFORGE_INSPECTION_SECONDS',
    fallback: 60,
    meaning: 'Time that the check of an upload may take, before a second is added for every 64 MiB.',
    parse: integer(1, 3600),
  },
  maxEventLoopDelayMs: {
    env: 'TRITFORGE_MAX_EVENT_LOOP_DELAY_MS',
    fallback: 1000,
    meaning: 'Mean delay of the event loop from which new requests are answered 503 with Retry-After.',
    parse: integer(10, 60_000),
  },
  shutdownSeconds: {
    env: 'TRITFORGE_SHUTDOWN_SECONDS',
    fallback: 30,
    meaning: 'How long running requests may go on after SIGTERM.',
    parse: integer(0, 3600),
  },
};

/** Reads the settings from environment variables. @throws Error that names the variable and what would be right */
export function readConfig(env: Readonly<Record<string, string | undefined>>): ApiConfig {
  return readSettings(SETTINGS, env);
}
