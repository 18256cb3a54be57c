import type { AccuracyReport, FrontierPoint } from '@tritforge/contracts';
import { markdownTable } from '../shared/markdown-table.js';

/** What a search returned for one model. */
export interface AutoRow {
  readonly model: string;
  readonly maxAccuracyDrop: number;
  /** The limit instead of that on the drop: bits per weight of the body. Older rows lack it. */
  readonly bodyBits?: number | null;
  readonly evaluations: number;
  readonly calibrationSamples: number;
  readonly accuracy: AccuracyReport;
  /** File name of the network that was chosen. */
  readonly chosen: string;
  readonly frontier: readonly FrontierPoint[];
  readonly seconds: number;
  readonly cpu: string;
  readonly commit: string;
}

/** The winning table, and all networks of each search behind it. */
export function autoPage(rows: readonly AutoRow[]): string {
  const newest = [...new Map(rows.map((row) => [`${row.model} ${row.bodyBits ?? ''}`, row])).values()];
  const withinDrop = newest.filter(({ bodyBits }) => (bodyBits ?? null) === null);
  const withinBits = newest.filter((row): row is AutoRow & { bodyBits: number } => (row.bodyBits ?? null) !== null);
  const processors = [...new Set(newest.map(({ cpu }) => cpu))].join(', ');
  return `# Searches for the smallest network within a limit

\`npm run bench -- shared-data SETS\`, then \`npm run bench -- auto SETS --write\` on ${processors}. Each search quantizes and measures whole networks,
one of each single precision first, and returns the smallest whose accuracy is within the limit; the report has all that were
measured. Choosing by the evaluation data favours what happens to do well on them, so the drop of the chosen network is a little
better than on other data.

${markdownTable(
  [
    'model',
    'limit',
    'chosen, bytes',
    'drop ± s.e.',
    'smallest of one precision within the limit',
    'ratio',
    'networks',
    's',
    'commit',
  ],
  withinDrop.map(summary),
)}

With \`--body-bits\` the search is for the most accurate network with so many bits per weight in the body, all layers but the first, the last
and depthwise ones, which have 8 bits.

${markdownTable(
  ['model', 'bits of the body', 'bits of quantized layers', 'chosen, bytes', 'drop ± s.e.', 'networks', 's', 'commit'],
  withinBits.map((row) => {
    const { bitsPerWeight, sizeBytes, label } = chosenPoint(row);
    const drop = `${fixed(row.accuracy.drop)} ± ${fixed(row.accuracy.pairedStandardError)}`;
    const cost = [bitsPerWeight?.toFixed(3) ?? '–', `${sizeBytes} (${label})`, drop];
    return [row.model, `≤ ${row.bodyBits}`, ...cost, String(row.frontier.length), row.seconds.toFixed(0), row.commit];
  }),
)}

${newest.map(section).join('')}`;
}

function summary(row: AutoRow): string[] {
  const { accuracy, frontier } = row;
  const chosen = chosenPoint(row);
  const single = smallest(frontier.filter(({ singlePrecision, meets }) => singlePrecision === true && meets === true));
  return [
    row.model,
    String(row.maxAccuracyDrop),
    `${chosen.sizeBytes} (${chosen.label})`,
    `${fixed(accuracy.drop)} ± ${fixed(accuracy.pairedStandardError)}`,
    single === undefined ? 'none' : `${single.sizeBytes} (${single.label})`,
    single === undefined ? '–' : (chosen.sizeBytes / single.sizeBytes).toFixed(3),
    String(frontier.length),
    row.seconds.toFixed(0),
    row.commit,
  ];
}

function section(row: AutoRow): string {
  const points = row.frontier.toSorted((a, b) => a.sizeBytes - b.sizeBytes);
  const lines = points.map((point) => [
    point.label,
    String(point.sizeBytes),
    point.bitsPerWeight?.toFixed(3) ?? '–',
    fixed(point.drop),
    [point.meets ? 'within the limit' : '', point.kept ? 'kept' : '', point.fileName === row.chosen ? 'chosen' : '']
      .filter((word) => word !== '')
      .join(', '),
  ]);
  return `
## ${row.model}${row.bodyBits ? `, at most ${row.bodyBits} bits in the body` : ''}

Original ${fixed(row.accuracy.original)} on ${row.accuracy.samples} samples; ${row.calibrationSamples} calibration samples.

${markdownTable(['network', 'bytes', 'bits, quantized layers', 'drop', ''], lines)}
`;
}

function fixed(value: number | null | undefined): string {
  return value?.toFixed(2) ?? '–';
}

function chosenPoint({ frontier, chosen }: AutoRow): FrontierPoint {
  return frontier.find(({ fileName }) => fileName === chosen)!;
}

function smallest(points: readonly FrontierPoint[]): FrontierPoint | undefined {
  return points.toSorted((a, b) => a.sizeBytes - b.sizeBytes)[0];
}
