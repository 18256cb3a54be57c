import type { LayerMetric } from './layer-metric.js';

/** How one layer is quantized against the moments of its inputs, whatever its codes. */
export interface FeedbackOptions {
  /** Aim at the outputs of the original network instead of at the weights. */
  readonly regress: boolean;
  /** Share of the mean diagonal of H that is added to its diagonal; 0.05 unless told. */
  readonly damping?: number | undefined;
  /** Sweeps of coordinate descent after error feedback, at most; 2 unless told. */
  readonly refinements?: number | undefined;
  /** Lower bound of the scale of each output channel, [OC]: see `smallestWeightScales`. */
  readonly minimumScales?: Float32Array | undefined;
  /** See `layerMetric` and `channelMetric`; made from the moments when left out and needed. */
  readonly metric?: LayerMetric | undefined;
}

/** The same for few levels. */
export interface SearchedOptions extends FeedbackOptions {
  /** Passes of search in windows after coordinate descent; 4 unless told. Each takes about as long as two sweeps. */
  readonly searches?: number | undefined;
}
