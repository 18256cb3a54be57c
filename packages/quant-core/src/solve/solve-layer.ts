import { type TernaryWeights, ternarize, type WeightLayout } from '../fgq/index.js';
import { type Int8Weights, quantizeInt8 } from '../int8/index.js';
import type { InputMoments } from './input-moments.js';

/** How ternary weights are found. */
export type Solver = 'exact' | 'weighted' | 'feedback';

/** How one layer is ternarized. */
export interface SolveOptions {
  /** exact: nearest to the weights. weighted: by the variance of each input. feedback: nearest in the outputs. */
  readonly solver: Solver;
  /** N. */
  readonly groupSize: number;
  readonly planes: 1 | 2;
  /** Aim at the outputs of the original network instead of at the weights. */
  readonly regress: boolean;
  /** Share of the mean diagonal of H that is added to its diagonal; 0.01 unless told. */
  readonly damping?: number | undefined;
  /** Sweeps of coordinate descent afterwards, at most. */
  readonly refinements?: number | undefined;
  /** Lower bound of the scale of each output channel, [OC]: see `smallestWeightScales`. */
  readonly minimumScales?: Float32Array | undefined;
}

/** How one layer is quantized to int8. */
export interface SolveInt8Options {
  readonly regress: boolean;
  readonly damping?: number | undefined;
  readonly refinements?: number | undefined;
  /** L, the largest |q|: 127 unless told. */
  readonly largestCode?: number | undefined;
  readonly minimumScales?: Float32Array | undefined;
}

/**
 * Ternarizes the weights of one convolution group.
 *
 * @param weights float32, [OC, IC, taps]; not modified
 * @param moments of the layer's inputs; null only for the solver exact without regression
 */
export function solveLayer(
  weights: Float32Array,
  layout: WeightLayout,
  moments: InputMoments | null,
  options: SolveOptions,
): TernaryWeights {
  if (options.solver !== 'exact' || options.regress || options.planes === 2) {
    throw new RangeError(`solver ${options.solver} with ${moments?.rows ?? 0} rows is not built`);
  }
  return ternarize(weights, layout, options.groupSize, { minimumScales: options.minimumScales });
}

/** Quantizes the weights of one convolution group to int8 by error feedback; null moments: nearest to the weights. */
export function solveInt8(
  weights: Float32Array,
  layout: WeightLayout,
  moments: InputMoments | null,
  options: SolveInt8Options,
): Int8Weights {
  if (moments !== null) throw new RangeError('int8 by error feedback is not built');
  return quantizeInt8(weights, layout, options);
}
