/**
 * Which numbers of channels the search chooses from, for each width. They start at or below what the network has; while one that is the
 * largest looks best, a larger one joins, so that sensitive layers grow:
 *
 *   start      {0.3, 0.4, …, 1} · c
 *   expand     π_max > T and c_max < cap · c  →  c_max + step · c, with the logit of c_max
 *
 * Source: Park et al. 2022, "Automatic Network Adaptation for Ultra-Low Uniform-Precision Quantization"; start: Dong and Yang 2019
 * (TAS), §4. T, step, cap and the new logit are our choice.
 */
import type { Width } from './widths/width-table.js';

/** The choice of one width. */
export interface Candidates {
  /** Ascending. */
  readonly channels: readonly number[];
  /** α, one for each. */
  readonly logits: Float64Array;
}

export interface Expansion {
  /** T */
  readonly threshold: number;
  /** A share of the channels in the network as it is. */
  readonly step: number;
  /** The most channels, as a multiple of those. */
  readonly cap: number;
}

/** Of the channels in the network as it is. */
export const START_SHARES: readonly number[] = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1];

/** @param normal gives logits near 0; called once for each candidate */
export function startCandidates(
  width: Width,
  normal: () => number,
  shares: readonly number[] = START_SHARES,
): Candidates {
  const rounded = shares.map((share) => roundedTo(share * width.channels, width));
  const channels = [...new Set(rounded)].toSorted((a, b) => a - b);
  return { channels, logits: Float64Array.from(channels, normal) };
}

/** The same candidates, or with a larger one. */
export function expanded(width: Width, candidates: Candidates, { threshold, step, cap }: Expansion): Candidates {
  const { channels, logits } = candidates;
  const largest = channels.at(-1)!;
  const most = roundedTo(cap * width.channels, width);
  const added = Math.min(roundedTo(largest + Math.max(step * width.channels, grainOf(width)), width), most);
  if (probabilities(logits).at(-1)! <= threshold || added <= largest) return candidates;
  return { channels: [...channels, added], logits: Float64Array.of(...logits, logits.at(-1)!) };
}

/** π = softmax(α) */
export function probabilities(logits: Float64Array): Float64Array {
  const most = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const powers = logits.map((logit) => Math.exp(logit - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

/** The candidate of the highest probability; the smallest of several. */
export function likeliest({ channels, logits }: Candidates): number {
  return channels[likeliestPosition(logits)]!;
}

export function likeliestPosition(logits: Float64Array): number {
  return logits.indexOf(logits.reduce((a, b) => Math.max(a, b)));
}

/** Σ π_j c_j */
export function expectedChannels({ channels, logits }: Candidates): number {
  return probabilities(logits).reduce((sum, share, j) => sum + share * channels[j]!, 0);
}

/** Candidates are multiples of it: 8 where there are many channels, fewer where that would leave no choice. */
function grainOf({ channels, multipleOf }: Width): number {
  const grain = 2 ** Math.min(Math.max(Math.floor(Math.log2(channels / 8)), 0), 3);
  return grain % multipleOf === 0 ? grain : multipleOf;
}

/** What the network has itself stays as it is. */
function roundedTo(channels: number, width: Width): number {
  if (channels === width.channels) return channels;
  const grain = grainOf(width);
  return Math.max(Math.round(channels / grain), 1) * grain;
}
