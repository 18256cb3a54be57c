import { TritforgeError } from '@tritforge/contracts';
import { hostFloats, isFloating } from '../../runtime/host-floats.js';
import { labelNumbers } from '../label-rows.js';
import type { Metric } from '../metric.js';
import { SampleRatio } from '../sample-ratio.js';

/** Mean squared difference to the labels, or to the original model's output when the dataset has none. */
export const mse: Metric = {
  name: 'mse',
  higherIsBetter: false,
  against: 'either',
  accumulator() {
    const errors = new SampleRatio();
    return {
      add({ output, reference, labels, samples }) {
        if (!isFloating(output.dtype)) throw notComparable(`the output has type ${output.dtype}`);
        const own = hostFloats(output);
        const target = labels === null ? hostFloats(reference) : labelNumbers(labels);
        if (own.length !== target.length)
          throw notComparable(`the output has ${own.length} elements, its target ${target.length}`);
        const perSample = own.length / samples;
        for (let sample = 0; sample < samples; sample++) {
          errors.add(squaredDistance(own, target, sample * perSample, perSample), perSample);
        }
      },
      value: () => errors.ratio(),
      scores: () => errors.scores(),
    };
  },
};

function squaredDistance(a: ArrayLike<number>, b: ArrayLike<number>, start: number, count: number): number {
  let sum = 0;
  for (let i = start; i < start + count; i++) sum += ((a[i] as number) - (b[i] as number)) ** 2;
  return sum;
}

function notComparable(why: string): TritforgeError {
  return new TritforgeError('METRIC_UNSUPPORTED', `mse cannot be computed: ${why}`, {
    field: 'metric',
    remediation: 'Give labels of the shape of the output, or none to compare with the original model.',
  });
}
