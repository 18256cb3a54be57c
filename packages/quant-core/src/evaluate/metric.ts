import type { Metric as MetricName } from '@tritforge/contracts';
import type { HostTensor } from '../runtime/runtime.js';

/** What a metric sees of one run: the same samples for every model that is compared. */
export interface Observation {
  /** Output of the model that is scored. */
  readonly output: HostTensor;
  /** The same output of the original model; the model's own when there is no other. */
  readonly reference: HostTensor;
  /** One label, or one row of labels, per sample. */
  readonly labels: HostTensor | null;
  /** Samples in the run. Dimension 0 of the tensors counts them, or is left out when there is one. */
  readonly samples: number;
}

/** Collects the scores of one model, sample after sample. */
export interface Accumulator {
  /** @throws TritforgeError METRIC_UNSUPPORTED when output and labels do not fit together */
  add(observation: Observation): void;
  /** The metric over all samples. NaN before the first. */
  value(): number;
  /**
   * One score per sample, such that the sampling error of `value()` is that of the scores' mean. For a metric that is a
   * mean these are the terms; for others the linearization about the value (delta method).
   */
  scores(): Float64Array;
}

/** A measure of how well a model does. */
export interface Metric {
  readonly name: MetricName;
  /** Whether more is better. */
  readonly higherIsBetter: boolean;
  /** What it compares with. `either`: labels if there are any, else the original model's output. */
  readonly against: 'labels' | 'reference' | 'either';
  accumulator(): Accumulator;
}
