import { type ClassScores, classScores } from '../class-scores.js';
import { classLabels } from '../label-rows.js';
import type { Metric } from '../metric.js';
import { SampleRatio } from '../sample-ratio.js';

/**
 * exp of the mean negative log-likelihood of the labelled tokens. The output is logits [N, T, V] and the label at [n,
 * t] the token that the logits at [n, t] predict, so labels are already shifted by one. Labels below 0 are left out.
 * Sums are float64.
 */
export const perplexity: Metric = {
  name: 'perplexity',
  higherIsBetter: false,
  against: 'labels',
  accumulator() {
    const losses = new SampleRatio();
    return {
      add({ output, labels, samples }) {
        const logits = classScores(output, samples);
        const wanted = classLabels('perplexity', labels, logits);
        for (let sample = 0; sample < samples; sample++) {
          let loss = 0;
          let tokens = 0;
          for (let position = 0; position < logits.positions; position++) {
            const label = wanted[sample * logits.positions + position] as number;
            if (label < 0) continue;
            tokens++;
            loss += negativeLogLikelihood(logits, sample, position, label);
          }
          losses.add(loss, tokens);
        }
      },
      value: () => Math.exp(losses.ratio()),
      scores() {
        const value = Math.exp(losses.ratio());
        const meanLoss = losses.ratio();
        return losses.scores().map((loss) => value * (1 + loss - meanLoss));
      },
    };
  },
};

/** log Σ exp(x_c − max) + max − x_label: no overflow for any finite logits. */
function negativeLogLikelihood(logits: ClassScores, sample: number, position: number, label: number): number {
  const { values, classes, classStride } = logits;
  const start = logits.offset(sample, position);
  let max = Number.NEGATIVE_INFINITY;
  for (let c = 0; c < classes; c++) max = Math.max(max, values[start + c * classStride] as number);
  let sum = 0;
  for (let c = 0; c < classes; c++) sum += Math.exp((values[start + c * classStride] as number) - max);
  return Math.log(sum) + max - (values[start + label * classStride] as number);
}
