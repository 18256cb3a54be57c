import type { GroupSize, Recipe } from '@tritforge/contracts';

/** One way to quantize a network: a row of the table. */
export interface Variant {
  /** What is done to the weights, and to activations where those have not 8 bits. */
  readonly column: string;
  /** Null where weights have no groups. */
  readonly groupSize: GroupSize | null;
  readonly recipe: Recipe;
}

/** The column that stands for the defaults. */
export const DEFAULT_COLUMN = 'regressed (default)';

const GROUP_SIZES = [64, 32, 16, 8, 4] as const;
const CORRECTED = { correction: ['mean', 'variance'] } satisfies Recipe;
const UNCORRECTED = { correction: [] } satisfies Recipe;

/** No layer has 8 bits, as in the files of MatMulNBits. */
export const ALL_INT4_COLUMN = 'int4, first and last too';

/** The steps from the published method to the default and beyond, each at every group size. */
const STEPS: readonly (readonly [column: string, recipe: (groupSize: GroupSize) => Recipe])[] = [
  ['paper', (groupSize) => ({ paper: true, weights: { groupSize } })],
  ['exact, corrected', (groupSize) => ({ weights: { groupSize, solver: 'exact' }, ...CORRECTED })],
  ['weighted', (groupSize) => ({ weights: { groupSize, solver: 'weighted', target: 'weights' }, ...UNCORRECTED })],
  ['feedback', (groupSize) => ({ weights: { groupSize, solver: 'feedback', target: 'weights' }, ...UNCORRECTED })],
  [
    'feedback, corrected',
    (groupSize) => ({ weights: { groupSize, solver: 'feedback', target: 'weights' }, ...CORRECTED }),
  ],
  [DEFAULT_COLUMN, (groupSize) => ({ weights: { groupSize } })],
  ['second plane on ¼', (groupSize) => ({ weights: { groupSize, residualPlanes: 0.25 } })],
];

/** All rows of a model, the table first. Activations have 8 bits unless the column says otherwise. */
export const VARIANTS: readonly Variant[] = [
  ...GROUP_SIZES.flatMap((groupSize) =>
    STEPS.map(([column, recipe]) => ({ column, groupSize, recipe: recipe(groupSize) })),
  ),
  {
    column: 'second plane on ¼, by measured damage',
    groupSize: 64,
    recipe: { sensitivity: true, weights: { groupSize: 64, residualPlanes: 0.25 } },
  },
  ...([64, 4] as const).flatMap((groupSize) => [
    { column: '4-bit activations', groupSize, recipe: { weights: { groupSize }, activations: { bits: 4 as const } } },
    {
      column: '4-bit activations, no layer kept at 8',
      groupSize,
      recipe: { weights: { groupSize }, activations: { bits: 4 as const, minimumSqnrDb: null } },
    },
  ]),
  { column: 'int8', groupSize: null, recipe: { method: 'int8' } },
  ...([32, 128] as const).map((groupSize) => ({
    column: 'int4',
    groupSize,
    recipe: { method: 'int4' as const, weights: { groupSize } },
  })),
  ...([32, 64] as const).map((groupSize) => ({
    column: ALL_INT4_COLUMN,
    groupSize,
    recipe: { method: 'int4' as const, weights: { groupSize }, firstLast: { bits: 4 as const } },
  })),
];

/** The columns of the table of group sizes, in order. */
export const STEP_COLUMNS: readonly string[] = STEPS.map(([column]) => column);

/** A variant in words, such as `paper, N = 64`. */
export function variantName({ column, groupSize }: Pick<Variant, 'column' | 'groupSize'>): string {
  return groupSize === null ? column : `${column}, N = ${groupSize}`;
}
