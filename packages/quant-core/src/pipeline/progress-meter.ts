import type { Phase } from '@tritforge/contracts';
import { throwIfCanceled } from '../cancellation.js';
import type { QuantizeContext } from '../quantize-request.js';

/** Below this share of all work an estimate would be a guess. */
const SMALLEST_SHARE_FOR_ETA = 0.03;
/** Seconds that are taken to be as expected, so that the first few say little about the pace of what comes. */
const PRIOR_SECONDS = 10;

/** Expected work of the phases, in any common unit. */
export type PhaseCosts = ReadonlyMap<Phase, number>;

/**
 * Reports phases and estimates the time left from the throughput so far: done work over elapsed time, with the work of a phase
 * as expected beforehand; a phase that knows better says so. Also the place where an abort takes effect.
 */
export class ProgressMeter {
  readonly #context: QuantizeContext;
  readonly #now: () => number;
  readonly #startMs: number;
  #phaseStartMs: number;
  #costs: PhaseCosts;
  readonly #finished = new Set<Phase>();
  #current: { phase: Phase; total: number; unit: string } | null = null;

  /** @param now the time in milliseconds */
  constructor(context: QuantizeContext, costs: PhaseCosts, now: () => number = () => performance.now()) {
    this.#context = context;
    this.#costs = costs;
    this.#now = now;
    this.#startMs = now();
    this.#phaseStartMs = this.#startMs;
  }

  /** Replaces the expectation once more is known. */
  expect(costs: PhaseCosts): void {
    this.#costs = costs;
  }

  /** Begins a phase, which ends the one before. @throws TritforgeError CANCELED */
  begin(phase: Phase, total: number, unit: string): void {
    if (this.#current !== null) this.#finished.add(this.#current.phase);
    this.#current = { phase, total, unit };
    this.#phaseStartMs = this.#now();
    this.done(0);
  }

  /**
   * Says how much of the phase is done.
   * @param secondsLeft what the rest of the phase will take, if the phase knows
   * @param detail how it goes, in words
   * @throws TritforgeError CANCELED
   */
  done(done: number, total?: number, secondsLeft: number | null = null, detail?: string): void {
    throwIfCanceled(this.#context.signal);
    if (this.#current === null) return;
    if (total !== undefined) this.#current.total = total;
    const { phase, unit } = this.#current;
    const etaSeconds = secondsLeft === null ? this.#etaSeconds(done) : this.#etaFrom(secondsLeft);
    const words = detail === undefined ? {} : { detail };
    this.#context.onProgress?.({ phase, done, total: this.#current.total, unit, etaSeconds, ...words });
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
    const elapsedSeconds = (this.#now() - this.#startMs) / 1000;
    return Math.round((elapsedSeconds * (all - finished)) / finished);
  }

  /** What is left of this phase, and the later ones at the pace of the earlier ones. */
  #etaFrom(secondsLeft: number): number {
    let [earlier, later] = [0, 0];
    for (const [phase, cost] of this.#costs) {
      if (this.#finished.has(phase)) earlier += cost;
      else if (phase !== this.#current!.phase) later += cost;
    }
    const earlierSeconds = (this.#phaseStartMs - this.#startMs) / 1000;
    const pace = (earlierSeconds + PRIOR_SECONDS) / (earlier + PRIOR_SECONDS);
    return Math.round(secondsLeft + later * pace);
  }
}
