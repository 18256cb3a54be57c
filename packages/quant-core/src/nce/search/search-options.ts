/** What a search of widths is asked for, and what it says of itself. */
import type { TrainingLength } from '../../train/training-clock.js';
import type { TuningSamples } from '../../train/tuning-samples.js';
import type { Budget } from '../budget-loss.js';
import type { Expansion } from '../candidates.js';
import type { SupernetSetup } from '../supernet/supernet.js';
import type { SupernetBase } from '../supernet/supernet-graph.js';
import type { ChannelCounts, WidthGraph } from '../widths/width-graph.js';
import type { WidthId } from '../widths/width-table.js';

/** A network whose widths are searched, and how it is made with others. */
export interface Searched {
  readonly graph: WidthGraph;
  readonly searched: readonly WidthId[];
  /** The network with so many channels, with quantized activations. */
  readonly baseOf: (counts: ChannelCounts) => Promise<SupernetBase>;
}

export interface SearchOptions extends SupernetSetup {
  readonly samples: TuningSamples;
  readonly length: TrainingLength;
  /** Of weights, relative to their size; half a cosine. */
  readonly learningRate: number;
  /** Of the likelihoods of candidates. */
  readonly logits: { readonly learningRate: number; readonly decay: number };
  /** Of the choice of pairs, from the beginning to the end, in a straight line. */
  readonly temperature: { readonly from: number; readonly to: number };
  /** Whether choices are made by samples that weights do not learn from; else each step does both. */
  readonly bilevel: boolean;
  /** Share of the search before candidates may join. */
  readonly warmUp: number;
  /** Candidates at the start, as shares of the channels in the network as it is. */
  readonly shares: readonly number[];
  readonly expansion: Expansion;
  readonly budgets: readonly Budget[];
  /** What a budget counts beside the loss of the network. */
  readonly budgetWeight: number;
  /** Where the state is kept after each epoch, to go on from; the owner of its folder removes it. */
  readonly checkpoint?: { readonly path: string; readonly identity: string } | undefined;
  readonly onEpoch?: ((epoch: SearchEpoch) => void) | undefined;
  readonly onStep?: ((step: SearchStep) => void) | undefined;
  /** Ends the search where it is; the widths that are likeliest so far are the result. */
  readonly settle?: AbortSignal | undefined;
}

export interface SearchStep {
  readonly epoch: number;
  /** Of the whole search that is done. */
  readonly share: number;
  readonly secondsLeft: number | null;
  /** Of the samples that choices are made by, mean of the epoch so far. */
  readonly loss: number;
  /** After the last whole epoch; null before the first. */
  readonly last: SearchEpoch | null;
}

/** Where the search was after an epoch. */
export interface SearchEpoch {
  readonly epoch: number;
  readonly seconds: number;
  /** Means over the epoch, of the samples that weights learn from and of those that choices are made by. */
  readonly weightLoss: number;
  readonly choiceLoss: number;
  readonly temperature: number;
  /** In the order of the widths that are searched, before candidates joined. */
  readonly choices: readonly SearchedChoice[];
  /** Of the likeliest widths, as shares of the budgets. */
  readonly costs: readonly number[];
}

export interface SearchedChoice {
  readonly channels: readonly number[];
  readonly probabilities: readonly number[];
}
