import type { Recipe } from '@tritforge/contracts';
import type { Measurement } from '../accuracy/rows.js';
import { markdownTable } from '../shared/markdown-table.js';

/** A finished row: one network of one seed. */
export interface NceRow {
  readonly model: string;
  /** `original widths`, `uniform widths`, `random widths` or `searched`. */
  readonly name: string;
  readonly seed: number;
  readonly recipe: Recipe;
  readonly measured: Measurement;
  readonly cpu: string;
  readonly commit: string;
}

const HEADER = [
  'network',
  'widths',
  'seeds',
  'M multiply-accumulates',
  'k parameters',
  'data',
  'original',
  'accuracy',
  'spread',
];

/** The newest row of each seed; a line for each network and evaluation set, over its seeds. */
export function ncePage(rows: readonly NceRow[]): string {
  const newest = [...new Map(rows.map((row) => [`${row.model} ${row.name} ${row.seed}`, row])).values()];
  const processors = [...new Set(newest.map(({ cpu }) => cpu))].join(', ');
  const groups = new Map<string, NceRow[]>();
  for (const row of newest)
    groups.set(`${row.model} ${row.name}`, [...(groups.get(`${row.model} ${row.name}`) ?? []), row]);
  return `# Numbers of channels for 2 bits

\`npm run bench -- shared-data SETS\`, then \`npm run bench -- nce SETS --write\` on ${processors}; the rows with their recipes and widths
are in [nce.jsonl](nce.jsonl). Weights and activations of 2 bits, the first and the last layer of 8, shortcuts wide. All networks learn the
outputs of the original on the same images without labels, and as long: the searched ones learn shorter by what their search takes.
Controls have no more multiply-accumulates than the searched network of their seed. **spread** is the standard deviation over seeds.

${markdownTable(HEADER, [...groups.values()].flatMap(lines))}
`;
}

function lines(rows: readonly NceRow[]): string[][] {
  const [{ model, name, measured: first }] = rows as [NceRow];
  return first.accuracies.map((accuracy, set) => {
    const values = rows.map(({ measured }) => measured.accuracies[set]!.quantized);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const spread = Math.sqrt(
      values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / Math.max(values.length - 1, 1),
    );
    return [
      ...(set === 0
        ? [model, name, String(rows.length), range(rows, 'macs', 1e6), range(rows, 'parameters', 1e3)]
        : ['', '', '', '', '']),
      `${accuracy.dataset} ${accuracy.metric}`,
      accuracy.original?.toFixed(2) ?? '–',
      mean.toFixed(2),
      values.length > 1 ? spread.toFixed(2) : '–',
    ];
  });
}

function range(rows: readonly NceRow[], key: 'macs' | 'parameters', unit: number): string {
  const values = rows.flatMap(({ measured }) => (measured.nce === undefined ? [] : [measured.nce[key].result / unit]));
  if (values.length === 0) return '–';
  const [least, most] = [Math.min(...values).toFixed(2), Math.max(...values).toFixed(2)];
  return least === most ? least : `${least}–${most}`;
}
