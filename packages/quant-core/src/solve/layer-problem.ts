import type { TernaryWeights, WeightLayout } from '../fgq/index.js';
import type { InputMoments } from './input-moments.js';
import type { LayerMetric } from './layer-metric.js';

/** Ternarizing one convolution group, or one linear layer. */
export interface TernaryProblem {
  /** W, [OC, IC, taps]; finite. */
  readonly weights: Float32Array;
  readonly layout: WeightLayout;
  /** N. */
  readonly groupSize: number;
  readonly planes: 1 | 2;
  /** Lower bound of the scale of each output channel, [OC]. */
  readonly minimumScales: Float32Array | undefined;
}

/** What calibration knows of the layer. */
export interface Calibrated {
  readonly moments: InputMoments;
  /** Aim at the outputs of the original network instead of at the weights. */
  readonly regress: boolean;
  /** Share of the mean diagonal of H that is added to its diagonal. */
  readonly damping: number | undefined;
  /** Sweeps of coordinate descent afterwards, at most. */
  readonly refinements: number | undefined;
  /** Passes of search in windows after that. */
  readonly searches: number | undefined;
  /** Factored beforehand from the same moments, groups and damping; factored here when left out. */
  readonly metric?: LayerMetric | undefined;
}

/** One way to ternarize a layer; one file each. */
export type TernarySolver = (problem: TernaryProblem, calibrated: Calibrated) => TernaryWeights;
