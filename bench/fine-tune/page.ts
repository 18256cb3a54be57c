import type { Recipe } from '@tritforge/contracts';
import type { Measurement, SetAccuracy } from '../accuracy/rows.js';
import { markdownTable } from '../shared/markdown-table.js';

/** A finished row: the same recipe without fine-tuning and with it. */
export interface FineTuneRow {
  readonly model: string;
  readonly name: string;
  readonly recipe: Recipe;
  readonly before: Measurement;
  readonly after: Measurement;
  readonly cpu: string;
  readonly commit: string;
}

const HEADER = [
  'network',
  'data',
  'original',
  'before',
  'after',
  'samples',
  'epochs',
  'best',
  'held-out loss',
  'training, s',
  'commit',
];

/** The newest row of each case, a line for each evaluation set. */
export function fineTunePage(rows: readonly FineTuneRow[]): string {
  const newest = [...new Map(rows.map((row) => [`${row.model} ${row.name}`, row])).values()];
  const processors = [...new Set(newest.map(({ cpu }) => cpu))].join(', ');
  return `# Fine-tuning from the ONNX file

\`npm run bench -- shared-data SETS\`, then \`npm run bench -- fine-tune SETS --write\` on ${processors}; the rows with their recipes are in
[fine-tune.jsonl](fine-tune.jsonl). No labels: the quantized network learns the outputs of the original, on the samples that it was
calibrated on or a larger set, by two threads. First and last layers and depthwise convolutions have 8-bit weights, activations 8 bits unless a row says
otherwise. **before** and **after** are the drop against the original on the same samples ± the standard error of the differences, in
points, or in the unit of the metric. The held-out loss is that of samples of the training set that were kept aside, before the first step
and at the best epoch. Others may have used the machine meanwhile. Published for ResNet-20 with weights and inputs of 2 bits: PACT 89.7 %,
LQ-Nets 90.2, APoT 91.0, all trained on the lossless images; ours learns from the same ones as JPEG, at 2 hours on two cores.

${markdownTable(HEADER, newest.flatMap(lines))}
`;
}

function lines({ model, name, before, after, commit }: FineTuneRow): string[][] {
  const { curve, bestEpoch, seconds, samples, heldOutSamples } = after.fineTune!;
  const loss = (epoch: number) => curve[epoch]!.heldOutLoss.toPrecision(3);
  return after.accuracies.map((accuracy, set) => [
    set === 0 ? `${model}, ${name}` : '',
    `${accuracy.dataset} ${accuracy.metric}`,
    accuracy.original?.toFixed(2) ?? '–',
    drop(before.accuracies[set]!),
    drop(accuracy),
    ...(set === 0
      ? [
          String(samples + heldOutSamples),
          String(curve.length - 1),
          String(bestEpoch),
          `${loss(0)} → ${loss(bestEpoch)}`,
          seconds.toFixed(0),
          commit,
        ]
      : ['', '', '', '', '', '']),
  ]);
}

function drop({ drop: value, pairedStandardError }: SetAccuracy): string {
  const error = pairedStandardError === null ? '' : ` ± ${pairedStandardError.toFixed(2)}`;
  return `${value?.toFixed(2) ?? '–'}${error}`;
}
