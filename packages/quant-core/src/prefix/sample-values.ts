import type { HostTensor } from '../runtime/runtime.js';

/** One value as a model computes it on each run over a dataset, one run per sample unless its batch dimension is fixed. */
export interface SampleValues {
  /** Number of runs. */
  readonly runCount: number;
  /** Shape of the value in a run, without reading it. Padding of a fixed batch is cut off. */
  shape(run: number): readonly number[];
  /** The value in a run; not to be modified. Padding of a fixed batch is cut off. */
  read(run: number): Promise<HostTensor>;
}
