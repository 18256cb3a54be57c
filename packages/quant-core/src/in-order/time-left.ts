/**
 * How long the layers that are left will take, from how long those before them took. Two things are measured apart:
 *
 *   running    both networks up to the layer, over all samples: as long for each layer as on average so far
 *   fitting    moments of its inputs, and its codes: in proportion to
 *              FIXED                                   sessions, files
 *            + rows · (K + OC) · COPY                  windows of inputs
 *            + rows · K · (K/2 + OC) · PRODUCT         moments, in products of matrices
 *            + OC · K · (STEP + K · UPDATE)            solving: searching a group, and bringing the others up to date
 *              the factors fitted to the layers of ResNet-50 on two cores
 */
import type { PlannedLayer } from '../layers/layer.js';

const FIXED = 5e9;
const COPY = 40;
const PRODUCT = 1 / 6;
const STEP = 150_000;
const UPDATE = 20;
/** Int8 weights have given scales and no search in windows. */
const INT8_SHARE = 1 / 8;

/** What is taken for granted before anything was measured, and how much of it: a core of 2024 for two seconds. */
const USUAL_RATE = 5e10;
const USUAL_SECONDS = 2;

/** Work of fitting a layer to so many windows of its input, in no unit of its own; 0 for a table. */
export function fittingCost({ layer, applied }: PlannedLayer, rows: number): number {
  if (layer.isTable) return 0;
  const { outputChannels, inputChannels, taps } = layer.layout;
  const columns = inputChannels * taps;
  const perRow = COPY * (columns + outputChannels) + PRODUCT * columns * (columns / 2 + outputChannels);
  const step = applied.bits === 8 ? STEP * INT8_SHARE : STEP;
  return FIXED + rows * perRow + outputChannels * columns * (step + UPDATE * columns);
}

export class TimeLeft {
  /** Costs of the layers that are left. */
  readonly #costs: number[];
  #layers = 0;
  #runningSeconds = 0;
  #fittedCost = 0;
  #fittingSeconds = 0;

  /** @param costs of fitting the layers to come, in their order */
  constructor(costs: readonly number[]) {
    this.#costs = [...costs];
  }

  /** The next layer is done. */
  layerDone(runningSeconds: number, fittingSeconds: number): void {
    this.#layers++;
    this.#runningSeconds += runningSeconds;
    this.#fittingSeconds += fittingSeconds;
    this.#fittedCost += this.#costs.shift() ?? 0;
  }

  /** Null as long as nothing was measured. */
  get seconds(): number | null {
    if (this.#costs.length === 0) return 0;
    if (this.#layers === 0) return null;
    const cost = this.#costs.reduce((sum, each) => sum + each, 0);
    const running = (this.#costs.length * this.#runningSeconds) / this.#layers;
    const measured = this.#fittingSeconds + USUAL_SECONDS;
    return running + (cost * measured) / (this.#fittedCost + USUAL_SECONDS * USUAL_RATE);
  }
}
