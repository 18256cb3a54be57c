import { classScores, rankOf } from '../class-scores.js';
import { classLabels } from '../label-rows.js';
import type { Metric } from '../metric.js';
import { SampleRatio } from '../sample-ratio.js';

/**
 * Share of positions, in percent, whose label is among the k classes that rank first. Labels are one per sample, or one
 * per position where the model scores tokens or pixels; those below 0 are left out.
 */
export function topK(name: 'top1' | 'top5', k: number): Metric {
  return {
    name,
    higherIsBetter: true,
    against: 'labels',
    accumulator() {
      const hits = new SampleRatio();
      return {
        add({ output, labels, samples }) {
          const scores = classScores(output, samples);
          const wanted = classLabels(name, labels, scores);
          for (let sample = 0; sample < samples; sample++) {
            let hit = 0;
            let labelled = 0;
            for (let position = 0; position < scores.positions; position++) {
              const label = wanted[sample * scores.positions + position] as number;
              if (label < 0) continue;
              labelled++;
              if (rankOf(label, scores, sample, position) < k) hit++;
            }
            hits.add(100 * hit, labelled);
          }
        },
        value: () => hits.ratio(),
        scores: () => hits.scores(),
      };
    },
  };
}
