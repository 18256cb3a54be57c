import type { ArtifactProfile, LayerRule, LayerSettings } from '@tritforge/contracts';
import { InvalidArgumentError } from 'commander';
import type { TSchema } from 'typebox';

const BYTES_PER_UNIT: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
};

const MS_PER_UNIT: Readonly<Record<string, number>> = { '': 1000, s: 1000, m: 60_000, h: 3_600_000 };

/** The longest delay that a timer takes. */
const LONGEST_MS = 2 ** 31 - 1;

/** Parses `512MB`, `2GiB` or a plain number of bytes. */
export function byteCount(text: string): number {
  const bytes = quantity(text, BYTES_PER_UNIT);
  if (bytes === null || bytes < 1) throw new InvalidArgumentError('Give a size such as 512MB or 2GiB.');
  return Math.round(bytes);
}

/** Parses `90s`, `10m`, `2h` or a plain number of seconds into milliseconds. */
export function durationMs(text: string): number {
  const ms = quantity(text, MS_PER_UNIT);
  if (ms === null || ms < 1 || ms > LONGEST_MS) {
    throw new InvalidArgumentError('Give a duration up to 500h, such as 90s, 10m or 2h.');
  }
  return Math.round(ms);
}

function quantity(text: string, units: Readonly<Record<string, number>>): number | null {
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text) ?? [];
  const factor = units[unit.toLowerCase()];
  return number === undefined || factor === undefined ? null : Number(number) * factor;
}

/** Parses an integer from 1 to 1024. */
export function naturalNumber(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1 || value > 1024)
    throw new InvalidArgumentError('Give an integer from 1 to 1024.');
  return value;
}

/** Parses a number from 0. */
export function nonNegativeNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value < 0)
    throw new InvalidArgumentError('Give a number from 0.');
  return value;
}

/** Parses a number from 0 to 1. */
export function share(text: string): number {
  const value = nonNegativeNumber(text);
  if (value > 1) throw new InvalidArgumentError('Give a number from 0 to 1.');
  return value;
}

/** Parses a number above 0. */
export function positiveNumber(text: string): number {
  const value = nonNegativeNumber(text);
  if (value === 0) throw new InvalidArgumentError('Give a number above 0.');
  return value;
}

/** The bounds that the schema of a number may have. */
interface NumberBounds {
  readonly type?: string;
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
}

/** The parser of a number that a schema describes, within its bounds. */
export function numberLike(schema: TSchema): (text: string) => number {
  const { type, minimum, exclusiveMinimum, maximum = Number.MAX_VALUE } = schema as NumberBounds;
  const from = exclusiveMinimum === undefined ? `from ${minimum ?? 0}` : `above ${exclusiveMinimum}`;
  return (text) => {
    const value = Number(text);
    const isInRange = exclusiveMinimum === undefined ? value >= (minimum ?? 0) : value > exclusiveMinimum;
    const isNumber = text.trim() !== '' && (type !== 'integer' || Number.isInteger(value));
    if (isNumber && isInRange && value <= maximum) return value;
    throw new InvalidArgumentError(`Give ${type === 'integer' ? 'an integer' : 'a number'} ${from} to ${maximum}.`);
  };
}

const LAYER_SETTINGS: ReadonlyMap<string, LayerSettings> = new Map<string, LayerSettings>([
  ['ternary', { bits: 2 }],
  ['uniform', { bits: 2, groupSize: null }],
  ['int4', { bits: 4 }],
  ['int8', { bits: 8 }],
  ['float', { bits: null }],
  ['exclude', { exclude: true }],
  ...([4, 8, 16, 32, 64, 128] as const).map((n): [string, LayerSettings] => [`n${n}`, { bits: 2, groupSize: n }]),
  ...([1, 2] as const).map((n): [string, LayerSettings] => [`p${n}`, { planes: n }]),
  ...([2, 3, 4, 8] as const).map((n): [string, LayerSettings] => [`a${n}`, { activationBits: n }]),
]);

/** Parses `GLOB=SETTING`, the glob being over node names. */
export function layerRule(text: string): LayerRule {
  const [, name, setting = ''] = /^(.+)=([^=]*)$/.exec(text) ?? [];
  const set = LAYER_SETTINGS.get(setting);
  if (name === undefined || set === undefined) {
    throw new InvalidArgumentError(
      `Give GLOB=SETTING, the setting being one of ${[...LAYER_SETTINGS.keys()].join(', ')}.`,
    );
  }
  return { match: { name }, set };
}

const PROFILES = ['portable', 'compat', 'accelerated', 'ort-nbits'] as const satisfies ArtifactProfile[];

/** Parses the name of an artifact profile. */
export function artifactProfile(text: string): ArtifactProfile {
  const profile = PROFILES.find((known) => known === text);
  if (profile === undefined) throw new InvalidArgumentError(`Give ${PROFILES.join(', ')}.`);
  return profile;
}

/** Turns the parser of one value into that of a flag that may be repeated. */
export function collect<T>(parse: (text: string) => T): (text: string, previous: T[] | undefined) => T[] {
  return (text, previous = []) => [...previous, parse(text)];
}
