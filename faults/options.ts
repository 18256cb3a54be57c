import { parseArgs } from 'node:util';
import { FAULT_KINDS, type FaultKind } from './fault-kinds.js';
import type { Backends } from './service/foundation.js';

/** What the command line says. */
export interface Options extends Backends {
  readonly seed: number;
  readonly rounds: number;
  /** The one round to run, to see again what it found. */
  readonly round: number | null;
  readonly only: FaultKind | null;
  readonly write: boolean;
}

const ROUNDS = 200;
const MAX_SEED = 2 ** 31 - 1;

/** @throws Error that names the option and what it may be */
export function readOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: 'string' },
      round: { type: 'string' },
      seed: { type: 'string' },
      storage: { type: 'string', default: 'folder' },
      queue: { type: 'string', default: 'postgres' },
      only: { type: 'string' },
      write: { type: 'boolean', default: false },
    },
  });
  const { rounds, round, seed, only } = values;
  return {
    rounds: rounds === undefined ? ROUNDS : integer('--rounds', rounds),
    round: round === undefined ? null : integer('--round', round),
    seed: seed === undefined ? 1 : integer('--seed', seed),
    storage: oneOf('--storage', values.storage, ['folder', 's3']),
    queue: oneOf('--queue', values.queue, ['postgres', 'redis']),
    only: only === undefined ? null : oneOf('--only', only, Object.keys(FAULT_KINDS) as FaultKind[]),
    write: values.write,
  };
}

/** The command that runs the same campaign, or the one round of it. */
export function commandOf({ seed, rounds, storage, queue, only }: Options, round?: number): string {
  const which = round === undefined ? `--rounds ${rounds}` : `--round ${round}`;
  const differing = [
    ...(storage === 'folder' ? [] : [`--storage ${storage}`]),
    ...(queue === 'postgres' ? [] : [`--queue ${queue}`]),
    ...(only === null ? [] : [`--only ${only}`]),
  ];
  return ['npm run faults --', which, `--seed ${seed}`, ...differing].join(' ');
}

/** The page of its backends in bench/results: `faults.md`, and `faults-redis-s3.md` and the like for others than come with the service. */
export function pageNameOf({ storage, queue }: Backends): string {
  const others = [...(queue === 'postgres' ? [] : [queue]), ...(storage === 'folder' ? [] : [storage])];
  return `${['faults', ...others].join('-')}.md`;
}

function integer(name: string, text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= 1 && value <= MAX_SEED) return value;
  throw new Error(`${name} is ${text}; it takes an integer from 1 to ${MAX_SEED}.`);
}

function oneOf<Name extends string>(option: string, text: string, names: readonly Name[]): Name {
  const found = names.find((name) => name === text);
  if (found !== undefined) return found;
  throw new Error(`${option} is ${text}; it takes ${names.join(', ')}.`);
}
