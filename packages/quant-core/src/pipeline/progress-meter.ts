import type { Phase } from '@tritforge/contracts';
import { throwIfCanceled } from '../cancellation.js';
import type { QuantizeContext } from '../quantize-request.js';

/** Below this share of all work an estimate would be a guess. */
const SMALLEST_SHARE_FOR_ETA = 0.03;

/** Expected work of the phases, in any common unit. */
export type PhaseCosts = ReadonlyMap<Phase, number>;

/**
 * Reports phases and estimates the time left from the throughput so far: done work over elapsed time, with the work of a phase
 * as expected beforehand. Also the place where an abort takes effect.
 */
export class ProgressMeter {
  readonly #context: QuantizeContext;
  readonly #startMs = performance.now();
  #costs: PhaseCosts;
  readonly #finished = new Set<Phase>();
  #current: { phase: Phase; total: number; unit: string } | null = null;

  constructor(context: QuantizeContext, costs: PhaseCosts) {
    this.#context = context;
    this.#costs = costs;
  }

  /** Replaces the expectation once more is known. */
  expect(costs: PhaseCosts): void {
    this.#costs = costs;
  }

  /** Begins a phase, which ends the one before. @throws TritforgeError CANCELED */
  begin(phase: Phase, total: number, unit: string): void {
    if (this.#current !== null) this.#finished.add(this.#current.phase);
    this.#current = { phase, total, unit };
    this.done(0);
  }

  /** Says how much of the phase is done. @throws TritforgeError CANCELED */
  done(done: number, total?: number): void {
    throwIfCanceled(this.#context.signal);
    if (this.#current === null) return;
    if (total !== undefined) this.#current.total = total;
    const { phase, unit } = this.#current;
    this.#context.onProgress?.({ phase, done, total: this.#current.total, unit, etaSeconds: this.#etaSeconds(done) });
  }

  #etaSeconds(done: number): number | null {
    const { phase, total } = this.#current!;
    let [finished, all] = [0, 0];
    for (const [name, cost] of this.#costs) {
      all += cost;
      if (this.#finished.has(name)) finished += cost;
      else if (name === phase && total > 0) finished += (cost * done) / total;
    }
    if (finished <= SMALLEST_SHARE_FOR_ETA * all) return null;
    const elapsedSeconds = (performance.now() - this.#startMs) / 1000;
    return Math.round((elapsedSeconds * (all - finished)) / finished);
  }
}
