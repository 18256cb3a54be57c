import { markdownTable } from '../shared/markdown-table.js';
import type { AccuracyRow, SetAccuracy } from './rows.js';
import { STEP_COLUMNS } from './variants.js';

const HEADER = [
  'weights',
  'N',
  'metric',
  'drop ± s.e.',
  'agreement, %',
  'bits, layers below 8',
  'bits, quantized layers',
  'bits, whole model',
  'bytes',
  '2 planes',
  '4-bit inputs',
  'quantizing, s',
  'job, s',
  'commit',
];

/** The table of accuracy as a page; rows of one model are in one section. */
export function accuracyPage(rows: readonly AccuracyRow[]): string {
  const models = [...new Set(rows.map(({ model }) => model))];
  const sections = models.map((model) =>
    section(
      model,
      rows.filter((row) => row.model === model),
    ),
  );
  const processors = [...new Set(rows.map(({ cpu }) => cpu))].join(', ');
  return `# Accuracy of quantized networks

\`npm run bench -- shared-data SETS\`, then \`npm run bench -- accuracy SETS --write\` on ${processors}, one row at a time; the rows
themselves, with their recipes, are in [accuracy.jsonl](accuracy.jsonl), and each names the commit that measured it (+: with changes
that were not committed). Nothing was trained.

Activations have 8 bits unless a row says otherwise, the first and the last layer and depthwise convolutions 8-bit weights.
**paper** is FGQ as published: the exact solver, dynamic fixed point, no correction. **exact, corrected** has the same codes, ranges of
least squared error, and the mean and variance of outputs matched. **weighted** counts weights by the second moments of their inputs,
**feedback** passes on what a group loses to the groups after it, both uncorrected; **feedback, corrected** with mean and variance
matched. **regressed (default)** is what \`{}\` does: feedback and correction toward the outputs of the original. **second plane on ¼** spends a
second ternary plane on a quarter of the ternary weights, where one plane has the largest error unless it says "by measured damage".
**int8** and **int4** are the peers in the same engine; int4 is solved as hard as the default; **first and last too**: these have 4 bits as well.

A drop is positive where the artifact is worse than the original on the same samples, in points, or in the unit of the metric; its
standard error is that of the differences per sample. Agreement: share of samples with the top class of the original. Bits per weight
count codes, group scales and channel scales: of the layers with weights below 8 bits, of all quantized layers, and of the whole file
per parameter. Quantizing is calibration, search and solving, job the whole run with verification and measurement; others may have used
the machine meanwhile.

${sections.join('\n')}`;
}

function section(model: string, rows: readonly AccuracyRow[]): string {
  const sets = rows[0]!.accuracies.map(({ dataset }) => dataset);
  const originals = rows[0]!.accuracies.map(
    ({ dataset, metric, original, samples }) => `${dataset} ${metric} ${fixed(original, 2)} (${samples} samples)`,
  );
  return `## ${model}

Original: ${originals.join('; ')}.

${stepsTable(rows)}
${sets.map((set) => `### ${model}, ${set}\n\n${setTable(rows, set)}`).join('\n')}`;
}

/** Drops on the first set, a row for each group size. Nothing where no step was measured. */
function stepsTable(rows: readonly AccuracyRow[]): string {
  const sizes = [...new Set(rows.filter(isStep).map(({ groupSize }) => groupSize))];
  if (sizes.length === 0) return '';
  const cell = (column: string, groupSize: number | null) => {
    const found = rows.find((row) => row.column === column && row.groupSize === groupSize);
    return found === undefined ? '' : formatDrop(found.accuracies[0]!);
  };
  const lines = sizes
    .sort((a, b) => b! - a!)
    .map((size) => [String(size), ...STEP_COLUMNS.map((column) => cell(column, size))]);
  return `Drop on ${rows[0]!.accuracies[0]!.dataset}:\n\n${markdownTable(['N', ...STEP_COLUMNS], lines)}\n`;
}

function isStep({ column }: AccuracyRow): boolean {
  return STEP_COLUMNS.includes(column);
}

function setTable(rows: readonly AccuracyRow[], set: string): string {
  const lines = rows.flatMap((row) => {
    const accuracy = row.accuracies.find(({ dataset }) => dataset === set);
    return accuracy === undefined ? [] : [line(row, accuracy)];
  });
  return `${markdownTable(HEADER, lines)}\n`;
}

function line(row: AccuracyRow, accuracy: SetAccuracy): string[] {
  const { quantizedLayers, lowBitLayers, wholeModel } = row.bitsPerWeight;
  return [
    row.column,
    row.groupSize === null ? '–' : String(row.groupSize),
    fixed(accuracy.quantized, 2),
    formatDrop(accuracy),
    fixed(accuracy.agreement, 1),
    fixed(lowBitLayers, 3),
    fixed(quantizedLayers, 3),
    fixed(wholeModel, 2),
    String(row.sizeBytes),
    String(row.layers.secondPlanes),
    String(row.layers.fourBitInputs),
    fixed(row.quantizeSeconds, 1),
    fixed(row.jobSeconds, 1),
    row.commit,
  ];
}

/** A drop with its standard error. */
export function formatDrop(accuracy: SetAccuracy): string {
  return `${fixed(accuracy.drop, 2)} ± ${fixed(accuracy.pairedStandardError, 2)}`;
}

/** A number, also one that is beyond all sense: the perplexity of a network that broke down. */
export function fixed(value: number | null | undefined, digits: number): string {
  if (value === null || value === undefined) return '–';
  return Math.abs(value) < 1e6 ? value.toFixed(digits) : value.toExponential(1);
}
