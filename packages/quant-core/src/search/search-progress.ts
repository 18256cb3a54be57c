import type { ProgressMeter } from '../pipeline/progress-meter.js';

/** About so many times the work of one network are the sensitivities of all precisions. */
export const SENSITIVITY_NETWORKS = 4;

/** Progress of a search, in layers: those of the sensitivities, then those of each network, its measurement being one more. */
export class SearchProgress {
  readonly #meter: Pick<ProgressMeter, 'begin' | 'done'>;
  readonly #perNetwork: number;
  #networks = 0;

  constructor(meter: Pick<ProgressMeter, 'begin' | 'done'>, layers: number, evaluations: number) {
    this.#meter = meter;
    this.#perNetwork = layers + 1;
    meter.begin('search', (SENSITIVITY_NETWORKS + evaluations) * this.#perNetwork, 'layers');
  }

  sensitivities(done: number, total: number): void {
    this.#meter.done(Math.floor((SENSITIVITY_NETWORKS * this.#perNetwork * done) / total));
  }

  /** Layers of the network at hand. */
  layers(done: number): void {
    this.#meter.done((SENSITIVITY_NETWORKS + this.#networks) * this.#perNetwork + Math.min(done, this.#perNetwork - 1));
  }

  networkDone(): void {
    this.#networks++;
    this.layers(0);
  }
}
