/** What a search has found, refined by the losses of its supernet (nce/refine-widths.ts). */
import type { Budget } from '../nce/budget-loss.js';
import { type Refined, refineWidths } from '../nce/refine-widths.js';
import type { SearchOptions } from '../nce/search/search-options.js';
import { searchSamples } from '../nce/search/search-samples.js';
import type { SearchState } from '../nce/search/search-state.js';
import type { Settled } from '../nce/settle-widths.js';
import type { WidthGraph } from '../nce/widths/width-graph.js';
import { piecesOf } from '../train/shuffled.js';
import type { ProgressMeter } from './progress-meter.js';

/** Samples by which networks are compared. */
const MOST_SAMPLES = 4096;

/** Where a search has ended. */
export interface EndedSearch {
  readonly state: SearchState;
  readonly options: SearchOptions;
  readonly graph: WidthGraph;
  readonly meter: ProgressMeter;
}

/** @param start within the budgets */
export async function refineChannels(
  start: Settled,
  budgets: readonly Budget[],
  { state, options, graph, meter }: EndedSearch,
): Promise<Refined> {
  const { supernet, choices, latent, affines } = state;
  const { samples, settle } = options;
  const judging = (searchSamples(options).other ?? samples.heldOut.flat()).slice(0, MOST_SAMPLES);
  const batches = piecesOf(judging, samples.part);
  await supernet.quantize(latent);
  const say = (loss: number | null) =>
    meter.done(1, 1, null, `exchanging channels${loss === null ? '' : `, loss ${loss.toPrecision(4)}`}`);
  say(null);
  return refineWidths(start, {
    choices,
    budgets,
    graph,
    settle,
    onStep: (_, loss) => say(loss),
    lossesOf: (widths) => {
      supernet.mix(new Map([...widths].map(([id, position]) => [id, { positions: [position], shares: [1] }])), affines);
      return supernet.losses(batches);
    },
  });
}
