import { createHash, randomBytes } from 'node:crypto';
import Type from 'typebox';

const CROCKFORD = '0123456789abcdefghjkmnpqrstvwxyz';
/** Of an id, behind its time. */
const RANDOM_BYTES = 10;
/** Of what lies between two ids of one millisecond. */
const STEP_BYTES = 6;

/** The kinds of resources that carry an id, keyed by the prefix that the id shows. */
export const ID_PREFIXES = {
  model: 'mdl',
  dataset: 'dst',
  job: 'job',
  artifact: 'art',
  project: 'prj',
  key: 'key',
  audit: 'aud',
  webhook: 'whk',
  delivery: 'msg',
  upload: 'upl',
} as const;

/** A resource kind. */
export type ResourceKind = keyof typeof ID_PREFIXES;

/** Of the id that was made last. */
let lastMs = 0;
let lastBits = 0n;

/**
 * Makes a new id, `<prefix>_` and 26 characters of Crockford base 32 (a ULID): 48 bits of milliseconds, then 80 random
 * bits, so that ids of one kind sort by time of creation. Those that a process makes in one millisecond sort in their order too: the bits
 * of each are those of the one before and a random number of 48 bits.
 *
 * @example newId('job') // 'job_01k9zq3v5w8e6r2t4y7u9i1o3p'
 */
export function newId(kind: ResourceKind, nowMs: number = Date.now()): string {
  const isNext = nowMs === lastMs;
  const bits = isNext ? lastBits + 1n + randomBits(STEP_BYTES) : randomBits(RANDOM_BYTES);
  // Once in billions of ids the sum is too large, and begins from below.
  lastBits = BigInt.asUintN(8 * RANDOM_BYTES, bits);
  lastMs = nowMs;
  return ulid(kind, nowMs, lastBits);
}

function randomBits(bytes: number): bigint {
  return toBits(randomBytes(bytes));
}

function toBits(bytes: Buffer): bigint {
  return BigInt(`0x${bytes.toString('hex')}`);
}

/**
 * The id that the same time and words always give, in place of random bits 80 of their SHA-256: whoever does again what was broken off makes
 * the same thing.
 */
export function repeatableId(kind: ResourceKind, atMs: number, words: string): string {
  return ulid(kind, atMs, toBits(createHash('sha256').update(words).digest().subarray(0, RANDOM_BYTES)));
}

function ulid(kind: ResourceKind, ms: number, bits: bigint): string {
  let value = (BigInt(ms) << 80n) | bits;
  let text = '';
  for (let i = 0; i < 26; i++) {
    text = CROCKFORD[Number(value & 31n)] + text;
    value >>= 5n;
  }
  return `${ID_PREFIXES[kind]}_${text}`;
}

/** The schema of an id of the given kind. */
export function idSchema(kind: ResourceKind) {
  return Type.String({ pattern: idPattern(kind), description: `Id of ${/^[au]/.test(kind) ? 'an' : 'a'} ${kind}.` });
}

/** Whether a text has the form of an id of the given kind. */
export function isId(kind: ResourceKind, text: string): boolean {
  return new RegExp(idPattern(kind)).test(text);
}

const idPattern = (kind: ResourceKind) => `^${ID_PREFIXES[kind]}_[0-9a-z]{26}$`;

/** `sha256:` and 64 lower-case hexadecimal digits. */
export const Digest = Type.String({ pattern: '^sha256:[0-9a-f]{64}$', description: 'Content digest.' });
