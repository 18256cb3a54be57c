import { TritforgeError } from '@tritforge/contracts';
import { isFloating } from '../../runtime/host-floats.js';
import type { HostTensor } from '../../runtime/runtime.js';
import { classScores, topClass } from '../class-scores.js';
import { labelNumbers } from '../label-rows.js';
import type { Metric } from '../metric.js';
import { SampleRatio } from '../sample-ratio.js';

/**
 * Share of positions, in percent, whose top class equals that of the original model. A row with a NaN agrees with
 * nothing. Positions with an integer label below 0, such as the padding of a text, are left out.
 */
export const agreement: Metric = {
  name: 'agreement',
  higherIsBetter: true,
  against: 'reference',
  accumulator() {
    const equal = new SampleRatio();
    return {
      add({ output, reference, labels, samples }) {
        const own = classScores(output, samples);
        const original = classScores(reference, samples);
        if (own.positions !== original.positions) throw differentShapes(output.shape, reference.shape);
        const isLabelled = labelMask(labels, samples * own.positions);
        for (let sample = 0; sample < samples; sample++) {
          let same = 0;
          let compared = 0;
          for (let position = 0; position < own.positions; position++) {
            if (!isLabelled(sample * own.positions + position)) continue;
            compared++;
            const top = topClass(own, sample, position);
            if (top >= 0 && top === topClass(original, sample, position)) same++;
          }
          equal.add(100 * same, compared);
        }
      },
      value: () => equal.ratio(),
      scores: () => equal.scores(),
    };
  },
};

/** Which positions count: all, unless there is an integer label for each. */
function labelMask(labels: HostTensor | null, positions: number): (index: number) => boolean {
  if (labels === null || isFloating(labels.dtype) || labels.data.length !== positions) return () => true;
  const numbers = labelNumbers(labels);
  return (index) => numbers[index]! >= 0;
}

function differentShapes(own: readonly number[], original: readonly number[]): TritforgeError {
  return new TritforgeError(
    'METRIC_UNSUPPORTED',
    `outputs of shape [${own.join(', ')}] and [${original.join(', ')}] cannot be compared`,
    {
      field: 'metric',
    },
  );
}
