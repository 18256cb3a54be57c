import { TritforgeError } from '@tritforge/contracts';
import { classScores, topClass } from '../class-scores.js';
import type { Metric } from '../metric.js';
import { SampleRatio } from '../sample-ratio.js';

/** Share of positions, in percent, whose top class equals that of the original model. A row with a NaN agrees with nothing. */
export const agreement: Metric = {
  name: 'agreement',
  higherIsBetter: true,
  against: 'reference',
  accumulator() {
    const equal = new SampleRatio();
    return {
      add({ output, reference, samples }) {
        const own = classScores(output, samples);
        const original = classScores(reference, samples);
        if (own.positions !== original.positions) throw differentShapes(output.shape, reference.shape);
        for (let sample = 0; sample < samples; sample++) {
          let same = 0;
          for (let position = 0; position < own.positions; position++) {
            const top = topClass(own, sample, position);
            if (top >= 0 && top === topClass(original, sample, position)) same++;
          }
          equal.add(100 * same, own.positions);
        }
      },
      value: () => equal.ratio(),
      scores: () => equal.scores(),
    };
  },
};

function differentShapes(own: readonly number[], original: readonly number[]): TritforgeError {
  return new TritforgeError(
    'METRIC_UNSUPPORTED',
    `outputs of shape [${own.join(', ')}] and [${original.join(', ')}] cannot be compared`,
    {
      field: 'metric',
    },
  );
}
