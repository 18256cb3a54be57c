/** What happens in a round, all of it decided by the seed of the campaign and the number of the round. */
import { type Random, seededRandom } from '@tritforge/store/testing/random';
import { FAULT_KINDS, type FaultKind } from './fault-kinds.js';
import { TASK_KINDS, type TaskKind } from './pipeline/task-kinds.js';
import type { TaskPlan } from './pipeline/tasks.js';
import { WORKS, type WorkName } from './pipeline/works.js';

/** Where a fault may be waited with: until that is seen of any job or upload of the round. */
export const SIGHTS = [
  'uploading',
  'queued',
  'read',
  'calibrate',
  'quantize',
  'encode',
  'verify',
  'measure',
  'publish',
  'ended',
] as const;
export type Sight = (typeof SIGHTS)[number];

/** When a fault comes: so long after the beginning of its round, or as soon as something is seen. */
export type Moment = { readonly afterMs: number } | { readonly seen: Sight };

/** One fault of a round. */
export interface FaultPlan {
  readonly kind: FaultKind;
  readonly moment: Moment;
  /** Which of two processes of a kind it meets, or of four lines. */
  readonly victim: number;
  readonly way: string;
  readonly forMs: number;
}

export interface RoundPlan {
  readonly faults: readonly FaultPlan[];
  readonly tasks: readonly TaskPlan[];
}

/** How many faults and tasks rounds have. */
export interface PlanSizes {
  readonly minFaults: number;
  readonly maxFaults: number;
  readonly tasks: number;
}

export const SIZES: PlanSizes = { minFaults: 1, maxFaults: 3, tasks: 4 };

const LATEST_FAULT_MS = 6_000;
const LATEST_TASK_MS = 2_500;
const VICTIMS = 4;
/** Odd and large, so that neighbouring seeds, rounds and parts have nothing in common. */
const STEPS = [0x9e3779b1, 0x85ebca6b, 0xc2b2ae35] as const;
/** The first numbers of like seeds are alike. */
const SKIPPED = 4;

/** The random numbers of one part of a round. */
export function randomOf(seed: number, round: number, part = 0): Random {
  const random = seededRandom([seed, round, part].reduce((mixed, value, i) => mixed ^ Math.imul(value, STEPS[i]!), 0));
  for (let skipped = 0; skipped < SKIPPED; skipped++) random.below(2);
  return random;
}

/**
 * Plans a round. Kinds of faults take turns as the first fault of rounds, so that each comes as often as any other.
 * @param round from 1
 */
export function planRound(seed: number, round: number, kinds: readonly FaultKind[], sizes: PlanSizes): RoundPlan {
  const random = randomOf(seed, round);
  const first = kinds[(round - 1) % kinds.length]!;
  const others = shuffled(
    random,
    kinds.filter((kind) => kind !== first),
  );
  const count = sizes.minFaults + random.below(sizes.maxFaults - sizes.minFaults + 1);
  return {
    faults: [first, ...others.slice(0, count - 1)].map((kind) => planFault(random, kind)),
    tasks: planTasks(random, sizes.tasks),
  };
}

function planFault(random: Random, kind: FaultKind): FaultPlan {
  const { ways, lastsMs } = FAULT_KINDS[kind];
  const [shortest, longest] = lastsMs;
  return {
    kind,
    moment: random.below(3) === 0 ? { afterMs: random.below(LATEST_FAULT_MS) } : { seen: random.pick(SIGHTS)! },
    victim: random.below(VICTIMS),
    way: random.pick(ways as readonly string[])!,
    forMs: shortest + random.below(longest - shortest),
  };
}

function planTasks(random: Random, count: number): TaskPlan[] {
  const works = Object.keys(WORKS) as WorkName[];
  return shuffled(random, Object.keys(TASK_KINDS) as TaskKind[])
    .slice(0, count)
    .map((kind) => ({ kind, work: random.pick(works)!, afterMs: random.below(LATEST_TASK_MS) }));
}

function shuffled<T>(random: Random, items: readonly T[]): T[] {
  const left = [...items];
  return items.map(() => left.splice(random.below(left.length), 1)[0]!);
}
