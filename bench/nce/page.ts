import type { Recipe } from '@tritforge/contracts';
import type { Measurement } from '../accuracy/rows.js';
import { markdownTable } from '../shared/markdown-table.js';

/** A finished row: one network of one seed. */
export interface NceRow {
  readonly model: string;
  /**
   * `original widths`, `uniform widths`, `random widths`, `given widths`, `searched` or `searched, retrained`; `likeliest widths` of searches
   * that did not weigh them against those of the original, nor use the rest of the budgets.
   */
  readonly name: string;
  /** The variant of the search whose widths it was made from, as JSON; of controls and retrained networks. */
  readonly beside?: string;
  readonly seed: number;
  /** What the engine did otherwise at that time, where it matters. */
  readonly earlier?: string;
  readonly recipe: Recipe;
  readonly measured: Measurement;
  readonly cpu: string;
  readonly commit: string;
}

const HEADER = [
  'network',
  'trained',
  'widths',
  'seeds',
  'channels',
  'M multiply-accumulates',
  'k parameters',
  'floating point, top-1, %',
  '2 bits, top-1, %',
  'more than original widths',
  'search, min',
  'training, min',
];

/** Lines for all networks of a kind, over their seeds; kinds that are trained in the same way together. */
export function ncePage(rows: readonly NceRow[]): string {
  const processors = [...new Set(rows.map(({ cpu }) => cpu))].join(', ');
  const commits = [...new Set(rows.map(({ commit }) => commit))].join(', ');
  // Texts grow by what was changed since.
  const latestFirst = rows.toSorted((a, b) => (a.earlier ?? '').length - (b.earlier ?? '').length);
  const trained = grouped(latestFirst, ({ model, recipe, earlier }) =>
    JSON.stringify([model, recipe.fineTune, earlier]),
  );
  return `# Numbers of channels for 2 bits

\`npm run bench -- shared-data SETS\`, then \`npm run bench -- nce SETS WORK --write\` on ${processors}, commit ${commits}; the rows with
their recipes are in [nce.jsonl](nce.jsonl). Everything is trained on the 50,000 training images of CIFAR-10 as JPEG and measured on the
10,000 test images as JPEG: the network in floating point for each seed from random weights (30 epochs), then networks of 2-bit weights and
inputs (first and last layer of 8 bits, shortcuts wide) from its weights, unless a row says otherwise; those that are *retrained* begin with
weights that were trained in floating point for their own widths, as long as the original was. *Likeliest widths* are what a search ended with
before it weighed them against the original ones (\`nce.odds\`) and used the rest of its budgets. *recovery*: so many epochs in floating
point before it was quantized, from the weights that it inherited; it was taken out of recipes again. A network with widths behind its name
was trained in floating point with those widths, which are its original ones then. Uniform and random widths have no more
multiply-accumulates than the searched ones of their seed; where they are the original ones, the row of those is theirs. Where rows say so,
artifacts had *whole biases*, rounded to the unit of 2-bit weights times 2-bit inputs, and normalizations of the training were folded by the
statistics of fewer samples than they are now: either makes them some tenths of a point less certain. A variant beside controls and retrained networks is that of the search whose widths they were made from. Accuracies are means over seeds ± their standard deviation, differences those of the same seed from the original
widths, without weights where the row begins without. What the rows mean: [docs/channel-expansion.md](../../docs/channel-expansion.md).

${markdownTable(HEADER, trained.flatMap(trainingLines))}
`;
}

/** Of all rows that are trained in the same way. */
function trainingLines(rows: readonly NceRow[]): string[][] {
  const [{ model, recipe, earlier }] = rows as [NceRow];
  const { epochs, labels } = recipe.fineTune!;
  const training = `${epochs} epochs, labels ${labels ?? 0}${earlier === undefined ? '' : `, ${earlier}`}`;
  const originals = new Map(
    rows.filter(({ name }) => name === 'original widths').map((row) => [originalOf(row), accuracyOf(row)]),
  );
  const kinds = grouped(rows, (row) => JSON.stringify([row.name, variantOf(row)]));
  return kinds.map((kind, i) => [...(i === 0 ? [model, training] : ['', '']), ...kindCells(kind, originals)]);
}

function kindCells(rows: readonly NceRow[], originals: ReadonlyMap<string, number>): string[] {
  const [first] = rows as [NceRow];
  const variant = variantOf(first);
  const differences = rows.flatMap((row) => {
    const original = originals.get(originalOf(row));
    return original === undefined || row.name === 'original widths' ? [] : [accuracyOf(row) - original];
  });
  const minutes = (of: (row: NceRow) => number) =>
    (rows.reduce((sum, row) => sum + of(row), 0) / rows.length / 60).toFixed(0);
  return [
    `${first.name}${variant === '{}' ? '' : ` \`${variant}\``}`,
    String(rows.length),
    rows.map(({ measured }) => measured.nce!.widths.map(({ result }) => result).join(' ')).join('; '),
    range(rows, 'macs'),
    range(rows, 'parameters'),
    meanOf(rows.map(({ measured }) => measured.accuracies[0]!.original!)),
    meanOf(rows.map(accuracyOf)),
    differences.length === 0 ? '' : meanOf(differences),
    isSearched(first) ? minutes(({ measured }) => measured.nce!.seconds) : '',
    minutes(({ measured }) => measured.fineTune!.seconds),
  ];
}

/** Names the network of original widths that has the seed and the first weights of a row. */
function originalOf({ seed, recipe }: NceRow): string {
  return `${seed} ${recipe.nce?.inherit === 'none'}`;
}

/** What of the search is not as it is by default, and widths that somebody gave. */
function variantOf({ name, beside, recipe }: NceRow): string {
  if (beside !== undefined) return beside;
  const { widths, epochs: _, ...variant } = recipe.nce ?? {};
  return JSON.stringify(name === 'given widths' ? { widths, ...variant } : variant);
}

function isSearched({ name }: NceRow): boolean {
  return name === 'searched' || name === 'likeliest widths';
}

function accuracyOf({ measured }: NceRow): number {
  return measured.accuracies[0]!.quantized;
}

/** With the standard deviation, where there are several. */
function meanOf(values: readonly number[]): string {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  if (values.length === 1) return mean.toFixed(2);
  const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1));
  return `${mean.toFixed(2)} ± ${deviation.toFixed(2)}`;
}

const UNITS = { macs: 1e6, parameters: 1e3 } as const;

function range(rows: readonly NceRow[], key: 'macs' | 'parameters'): string {
  const values = rows.map(({ measured }) => measured.nce![key].result / UNITS[key]);
  const [least, most] = [Math.min(...values).toFixed(2), Math.max(...values).toFixed(2)];
  return least === most ? least : `${least}–${most}`;
}

function grouped<Row>(rows: readonly Row[], keyOf: (row: Row) => string): Row[][] {
  const groups = new Map<string, Row[]>();
  for (const row of rows) groups.set(keyOf(row), [...(groups.get(keyOf(row)) ?? []), row]);
  return [...groups.values()];
}
