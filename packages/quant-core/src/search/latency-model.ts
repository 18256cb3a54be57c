/**
 * How long networks take, from what their layers take one by one:
 *
 *   latency(assignment) = offset + slope · Σ ms of the layers
 *
 * Networks that were measured tell both. The offset is what is no layer's, less what layers that run alone do besides; the slope is
 * above 1 where weights that are in the processor's cache alone are not in the network.
 */
import { type Assignment, type Option, traceFrontier } from './tracing.js';

/** An option and what it takes. */
export interface TimedOption extends Option {
  readonly ms: number;
}

/** What a slope may be: beyond it chance speaks. */
const SLOPES = [0.5, 4] as const;
/** Networks that a slope needs; before, it is 1. */
const FEWEST_FOR_SLOPE = 3;

export class LatencyModel {
  readonly #measured: { layersMs: number; latencyMs: number }[] = [];

  /** A network was measured whose layers take so long one by one. */
  learn(layersMs: number, latencyMs: number): void {
    this.#measured.push({ layersMs, latencyMs });
  }

  /** By least squares; null before anything was measured. */
  predict(layersMs: number): number | null {
    const count = this.#measured.length;
    if (count === 0) return null;
    const [meanLayers, meanLatency] = [
      this.#measured.reduce((sum, point) => sum + point.layersMs, 0) / count,
      this.#measured.reduce((sum, point) => sum + point.latencyMs, 0) / count,
    ];
    let [together, own] = [0, 0];
    for (const point of this.#measured) {
      together += (point.layersMs - meanLayers) * (point.latencyMs - meanLatency);
      own += (point.layersMs - meanLayers) ** 2;
    }
    const slope = count < FEWEST_FOR_SLOPE || own === 0 ? 1 : together / own;
    return meanLatency + Math.min(Math.max(slope, SLOPES[0]), SLOPES[1]) * (layersMs - meanLayers);
  }
}

/** Bytes that count as much as a millisecond, in units of what all layers differ in. */
const EXCHANGE_RATES = [0, 0.25, 1, 4] as const;

/**
 * Networks with little damage for what they cost, the cheap ones first, where latency counts.
 * @param isSizeWanted whether bytes count too; else latency alone does
 */
export function fastFrontier(
  units: readonly (readonly TimedOption[])[],
  { isSizeWanted }: { isSizeWanted: boolean },
): Assignment[] {
  const inTime = traceFrontier(units.map((options) => options.map(({ ms, damage }) => ({ bytes: ms, damage }))));
  if (!isSizeWanted) return inTime;
  const bytesPerMs =
    spread(units, ({ bytes }) => bytes) /
    Math.max(
      spread(units, ({ ms }) => ms),
      1e-9,
    );
  const mixed = EXCHANGE_RATES.flatMap((rate) =>
    traceFrontier(
      units.map((options) =>
        options.map(({ bytes, ms, damage }) => ({ bytes: bytes + rate * bytesPerMs * ms, damage })),
      ),
    ),
  );
  const distinct = [...new Map([...mixed, ...inTime].map((assignment) => [assignment.join(), assignment])).values()];
  const total = (assignment: Assignment, of: (option: TimedOption) => number) =>
    assignment.reduce((sum, index, unit) => sum + of(units[unit]![index]!), 0);
  // By damage, so that a search can halve its way to what a limit on the accuracy allows.
  return distinct
    .map((assignment) => ({ assignment, damage: total(assignment, ({ damage }) => damage) }))
    .sort((a, b) => b.damage - a.damage)
    .map(({ assignment }) => assignment);
}

/** How much the networks differ at most. */
function spread(units: readonly (readonly TimedOption[])[], of: (option: TimedOption) => number): number {
  return units.reduce((sum, options) => {
    const values = options.map(of);
    return sum + Math.max(...values) - Math.min(...values);
  }, 0);
}
