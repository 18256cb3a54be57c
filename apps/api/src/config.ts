import { resolve } from 'node:path';

/** What the API process can be told. Sizes in bytes, times in the unit their name says. */
export interface ApiConfig {
  readonly host: string;
  readonly port: number;
  readonly logLevel: string;
  /** PostgreSQL server; null starts the embedded one. */
  readonly databaseUrl: string | null;
  /** Redis server for the queue; null keeps the queue in PostgreSQL. */
  readonly redisUrl: string | null;
  /** Folder of the embedded database, the blobs and scratch files. */
  readonly dataDir: string;
  readonly maxUploadBytes: number;
  readonly maxUploadParts: number;
  readonly maxJsonBytes: number;
  readonly maxConcurrentUploads: number;
  readonly uploadIdleSeconds: number;
  readonly maxConcurrentInspections: number;
  readonly maxWaitingInspections: number;
  readonly inspectionMemoryBytes: number;
  readonly inspectionSeconds: number;
  readonly maxEventLoopDelayMs: number;
  readonly shutdownSeconds: number;
}

interface Setting<T> {
  readonly env: string;
  readonly fallback: T;
  readonly meaning: string;
  /** Turns the text into the value; throws with what would be right. */
  readonly parse: (text: string) => T;
}

const text = (value: string) => value;

const folder = (value: string) => resolve(value);

function url(...protocols: string[]) {
  return (value: string): string => {
    if (!URL.canParse(value) || !protocols.includes(new URL(value).protocol)) {
      throw new Error(`a URL that starts with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}`);
    }
    return value;
  };
}

function integer(minimum: number, maximum: number) {
  return (value: string): number => {
    const number = Number(value);
    if (!/^\d+$/.test(value) || number < minimum || number > maximum) {
      throw new Error(`an integer from ${minimum} to ${maximum}`);
    }
    return number;
  };
}

function oneOf(...choices: string[]) {
  return (value: string): string => {
    if (!choices.includes(value)) throw new Error(`one of ${choices.join(', ')}`);
    return value;
  };
}

const GIB = 2 ** 30;
const LARGEST = Number.MAX_SAFE_INTEGER;

/** Every environment variable of the API: its name, default, check and meaning. The README's table is made of it. */
export const SETTINGS: { readonly [K in keyof ApiConfig]: Setting<ApiConfig[K]> } = {
  host: { env: 'TRITFORGE_HOST', fallback: '127.0.0.1', meaning: 'Address to listen on.', parse: text },
  port: {
    env: 'TRITFORGE_PORT',
    fallback: 8080,
    meaning: 'Port to listen on; 0 takes a free one.',
    parse: integer(0, 65535),
  },
  logLevel: {
    env: 'TRITFORGE_LOG_LEVEL',
    fallback: 'info',
    meaning: 'fatal, error, warn, info, debug, trace or silent.',
    parse: oneOf('fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'),
  },
  databaseUrl: {
    env: 'DATABASE_URL',
    fallback: null,
    meaning: 'PostgreSQL server; embedded PostgreSQL when unset.',
    parse: url('postgres:', 'postgresql:'),
  },
  redisUrl: {
    env: 'REDIS_URL',
    fallback: null,
    meaning: 'Redis server of the queue; the queue lives in PostgreSQL when unset.',
    parse: url('redis:', 'rediss:'),
  },
  dataDir: {
    env: 'TRITFORGE_DATA_DIR',
    fallback: resolve('.data'),
    meaning: 'Folder of the embedded database, the stored files and scratch files.',
    parse: folder,
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

/**
 * Reads the settings from environment variables; an unset or empty one takes its default.
 * @throws Error that names the variable, its text and what would be right
 */
export function readConfig(env: Readonly<Record<string, string | undefined>>): ApiConfig {
  const entries = Object.entries(SETTINGS).map(([key, setting]) => [key, readSetting(setting, env[setting.env])]);
  return Object.fromEntries(entries) as unknown as ApiConfig;
}

function readSetting({ env, fallback, parse }: Setting<unknown>, value: string | undefined): unknown {
  if (value === undefined || value === '') return fallback;
  try {
    return parse(value);
  } catch (error) {
    throw new Error(`${env} is "${value}" and must be ${(error as Error).message}`);
  }
}
