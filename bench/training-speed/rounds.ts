import type { Stepper } from './our-step.js';

/** Milliseconds of steps, in no order. */
export interface Timing {
  readonly name: string;
  readonly minimumMs: number;
  readonly medianMs: number;
}

/** Steps that everybody makes before the clock counts: code is generated and memory is taken by them. */
const WARM_UP_ROUNDS = 3;

/** All take turns, one step each, so that what disturbs the machine disturbs all. */
export async function timeInTurns(steppers: ReadonlyMap<string, Stepper>, rounds: number): Promise<Timing[]> {
  const taken = new Map<string, number[]>([...steppers.keys()].map((name) => [name, []]));
  for (let round = -WARM_UP_ROUNDS; round < rounds; round++)
    for (const [name, stepper] of steppers) {
      const { milliseconds, loss } = await stepper.step();
      if (!Number.isFinite(loss)) throw new Error(`${name}: the loss is ${loss}`);
      if (round >= 0) taken.get(name)!.push(milliseconds);
    }
  return [...taken].map(([name, times]) => {
    const sorted = times.toSorted((a, b) => a - b);
    return { name, minimumMs: sorted[0]!, medianMs: sorted[Math.floor(sorted.length / 2)]! };
  });
}
