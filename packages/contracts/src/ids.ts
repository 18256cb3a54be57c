import { createHash, randomBytes } from 'node:crypto';
import Type from 'typebox';

const CROCKFORD = '0123456789abcdefghjkmnpqrstvwxyz';
/** Of an id, behind its time. */
const RANDOM_BYTES = 10;

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

/**
 * Makes a new id, `<prefix>_` and 26 characters of Crockford base 32 (a ULID): 48 bits of milliseconds, then 80 random
 * bits, so that ids of one kind sort by time of creation.
 *
 * @example newId('job') // 'job_01k9zq3v5w8e6r2t4y7u9i1o3p'
 */
export function newId(kind: ResourceKind, nowMs: number = Date.now()): string {
  return ulid(kind, nowMs, randomBytes(RANDOM_BYTES));
}

/**
 * The id that the same time and words always give, in place of random bits 80 of their SHA-256: whoever does again what was broken off makes
 * the same thing.
 */
export function repeatableId(kind: ResourceKind, atMs: number, words: string): string {
  return ulid(kind, atMs, createHash('sha256').update(words).digest().subarray(0, RANDOM_BYTES));
}

function ulid(kind: ResourceKind, ms: number, bits: Buffer): string {
  let value = (BigInt(ms) << 80n) | BigInt(`0x${bits.toString('hex')}`);
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
