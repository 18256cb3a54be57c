import type { Step, Stepper } from './our-step.js';

/** What the steps of one side took. */
export interface Timing {
  readonly name: string;
  readonly minimumMs: number;
  readonly medianMs: number;
  /** Of the process, which does not count while others have the core. */
  readonly medianCpuMs: number;
}

/** Steps that everybody makes before the clock counts: code is generated and memory is taken by them. */
const WARM_UP_ROUNDS = 3;

/** All take turns, one step each, so that what disturbs the machine disturbs all. */
export async function timeInTurns(steppers: ReadonlyMap<string, Stepper>, rounds: number): Promise<Timing[]> {
  const taken = new Map<string, Step[]>([...steppers.keys()].map((name) => [name, []]));
  for (let round = -WARM_UP_ROUNDS; round < rounds; round++)
    for (const [name, stepper] of steppers) {
      const step = await stepper.step();
      if (!Number.isFinite(step.loss)) throw new Error(`${name}: the loss is ${step.loss}`);
      if (round >= 0) taken.get(name)!.push(step);
    }
  return [...taken].map(([name, steps]) => {
    const times = steps.map(({ milliseconds }) => milliseconds);
    const cpuTimes = steps.map(({ cpuMilliseconds }) => cpuMilliseconds);
    return { name, minimumMs: Math.min(...times), medianMs: median(times), medianCpuMs: median(cpuTimes) };
  });
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}
