import { resolve } from 'node:path';
import { parseSourcePlaces, type SourcePlace } from './sources/allowed-sources.js';

/** One environment variable: its name, default, check and meaning. */
export interface Setting<T> {
  readonly env: string;
  readonly fallback: T;
  readonly meaning: string;
  /** Turns the text into the value; throws an Error whose message says what would be right. */
  readonly parse: (text: string) => T;
  /** May hold a password: what it is set to is never repeated. */
  readonly isSecret?: true;
}

/** The settings of one process by the field that they fill. */
export type Settings<Config> = { readonly [Key in keyof Config]: Setting<Config[Key]> };

/** Any text. */
export const text = (value: string): string => value;

/** A folder; relative ones start at the working directory. */
export const folder = (value: string): string => resolve(value);

/** A URL with one of the protocols, each with its colon. */
export function url(...protocols: string[]): (text: string) => string {
  return (value) => {
    if (!URL.canParse(value) || !protocols.includes(new URL(value).protocol)) {
      throw new Error(`a URL that starts with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}`);
    }
    return value;
  };
}

/** An integer within both bounds. */
export function integer(minimum: number, maximum: number): (text: string) => number {
  return (value) => {
    const number = Number(value);
    if (!/^\d+$/.test(value) || number < minimum || number > maximum) {
      throw new Error(`an integer from ${minimum} to ${maximum}`);
    }
    return number;
  };
}

/** One of the given words. */
export function oneOf(...choices: string[]): (text: string) => string {
  return (value) => {
    if (!choices.includes(value)) throw new Error(`one of ${choices.join(', ')}`);
    return value;
  };
}

/** The name of a bucket. */
function bucketName(value: string): string {
  if (!/^[\w.-]{3,255}$/.test(value)) throw new Error('the name of a bucket, without URL and slashes');
  return value;
}

/** Folders of a bucket, to begin keys with; ends with a slash. */
function keyPrefix(value: string): string {
  const segments = value.replace(/\/$/, '').split('/');
  if (!segments.every((segment) => /^[\w!*'().-]+$/.test(segment) && !/^\.+$/.test(segment)) || value.length > 500) {
    throw new Error("folders between slashes, of letters, digits and _!*'().-, such as team/tritforge");
  }
  return `${segments.join('/')}/`;
}

/** What every process of the service is told. */
export interface SharedConfig {
  readonly logLevel: string;
  /** PostgreSQL server; null when there is none but the embedded one, which the starter of the process then sets. */
  readonly databaseUrl: string | null;
  /** Redis server for the queue; null keeps the queue in PostgreSQL. */
  readonly redisUrl: string | null;
  /** Folder of the embedded database, the blobs and scratch files. */
  readonly dataDir: string;
  /** Bucket of the blobs; null keeps them in `dataDir`. */
  readonly s3Bucket: string | null;
  /** What keys in the bucket begin with: empty, or with a slash at its end. */
  readonly s3Prefix: string;
  readonly s3Endpoint: string | null;
  /** URL by which clients reach the bucket; null for `s3Endpoint`, `none` where they do not. */
  readonly s3PublicEndpoint: string | null;
  readonly s3Region: string | null;
  readonly s3Addressing: 'auto' | 'path' | 'virtual';
  /** Where objects lie that clients may name in place of files. */
  readonly sources: readonly SourcePlace[];
  /** Where webhooks may be sent to. */
  readonly webhookTargets: 'public' | 'any';
}

/** Environment variables that API and workers share. */
export const SHARED_SETTINGS: Settings<SharedConfig> = {
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
    isSecret: true,
  },
  redisUrl: {
    env: 'REDIS_URL',
    fallback: null,
    meaning: 'Redis server of the queue; the queue lives in PostgreSQL when unset.',
    parse: url('redis:', 'rediss:'),
    isSecret: true,
  },
  dataDir: {
    env: 'TRITFORGE_DATA_DIR',
    fallback: resolve('.data'),
    meaning: 'Folder of the embedded database, the stored files and scratch files.',
    parse: folder,
  },
  s3Bucket: {
    env: 'TRITFORGE_S3_BUCKET',
    fallback: null,
    meaning: 'Bucket of models, datasets and artifacts; they lie in the data folder when unset.',
    parse: bucketName,
  },
  s3Prefix: {
    env: 'TRITFORGE_S3_PREFIX',
    fallback: '',
    meaning: 'Folders of the bucket that belong to the service, such as team/tritforge; all of it when unset.',
    parse: keyPrefix,
  },
  s3Endpoint: {
    env: 'TRITFORGE_S3_ENDPOINT',
    fallback: null,
    meaning: 'URL of an S3 service other than AWS.',
    parse: url('http:', 'https:'),
    isSecret: true,
  },
  s3PublicEndpoint: {
    env: 'TRITFORGE_S3_PUBLIC_ENDPOINT',
    fallback: null,
    meaning:
      'URL by which clients reach the bucket to send large files straight to it, or none where they do not; that of the service when unset.',
    parse: (value) => (value === 'none' ? value : url('http:', 'https:')(value)),
  },
  s3Region: {
    env: 'TRITFORGE_S3_REGION',
    fallback: null,
    meaning: 'Region of the bucket; when unset us-east-1 with an endpoint, else what the AWS SDK finds.',
    parse: text,
  },
  s3Addressing: {
    env: 'TRITFORGE_S3_ADDRESSING',
    fallback: 'auto',
    meaning: 'Where requests name the bucket: path, virtual (in the host name) or auto (path with an endpoint).',
    parse: oneOf('auto', 'path', 'virtual') as (text: string) => SharedConfig['s3Addressing'],
  },
  sources: {
    env: 'TRITFORGE_SOURCES',
    fallback: [],
    meaning:
      'Buckets, or folders of them, whose objects clients may name in place of files, such as s3://models s3://data/public; none when unset.',
    parse: parseSourcePlaces,
  },
  webhookTargets: {
    env: 'TRITFORGE_WEBHOOK_TARGETS',
    fallback: 'public',
    meaning: 'Where webhooks may be sent to: public (https and public addresses alone) or any (for closed networks).',
    parse: oneOf('public', 'any') as (text: string) => SharedConfig['webhookTargets'],
  },
};

/**
 * Reads settings from environment variables; an unset or empty one takes its default.
 * @throws Error that names the variable, its text unless it may hold a password, and what would be right
 */
export function readSettings<Config>(
  settings: Settings<Config>,
  env: Readonly<Record<string, string | undefined>>,
): Config {
  const entries = Object.entries<Setting<unknown>>(settings).map(([key, setting]) => [key, readSetting(setting, env)]);
  return Object.fromEntries(entries) as Config;
}

function readSetting(
  { env: name, fallback, parse, isSecret }: Setting<unknown>,
  env: Readonly<Record<string, string | undefined>>,
): unknown {
  const value = env[name];
  if (value === undefined || value === '') return fallback;
  try {
    return parse(value);
  } catch (error) {
    const what = isSecret ? name : `${name} is "${value}" and`;
    throw new Error(`${what} must be ${(error as Error).message}`);
  }
}
