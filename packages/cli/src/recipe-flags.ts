import {
  type ActivationRange,
  type ArtifactProfile,
  checkRecipe,
  type GroupSize,
  type LayerRule,
  type Recipe,
  type Search,
  type Shortcuts,
  type Solver,
  TritforgeError,
} from '@tritforge/contracts';
import { type FineTuneFlags, withFineTune } from './fine-tune-flags.js';
import { readRecipe } from './input-files.js';
import { type NceFlags, withNce } from './nce-flags.js';

const METHODS = ['fgq', 'int4', 'int8', 'uniform', 'nce', 'auto'] as const satisfies Recipe['method'][];
const ACTIVATION_BITS = { 8: 8, 4: 4, 3: 3, 2: 2, none: null } as const;

/** The flags that say how to quantize. */
export interface RecipeFlags extends FineTuneFlags, NceFlags {
  /** `fgq`, `int4`, `int8`, `uniform`, `nce`, `auto` or the path of a .json file. */
  readonly recipe: string;
  readonly paper?: boolean;
  readonly groupSize?: '4' | '8' | '16' | '32' | '64' | '128';
  readonly solver?: Solver;
  readonly residualPlanes?: number;
  readonly activationRange?: ActivationRange;
  readonly activationBits?: '8' | '4' | '3' | '2' | 'none';
  readonly activationShortcuts?: Shortcuts;
  readonly layer?: readonly LayerRule[];
  readonly artifact?: ArtifactProfile[];
  readonly equalize?: boolean;
  readonly sensitivity?: boolean;
  readonly searchMaxAccuracyDrop?: number;
  readonly searchMaxSize?: number;
  readonly searchMaxBits?: number;
  readonly searchMaxLatency?: number;
  readonly searchEvaluations?: number;
  readonly searchMinutes?: number;
}

/**
 * The recipe that the flags describe: what --recipe names, changed by the other flags. Layer rules of flags come after
 * those of a file.
 *
 * @throws TritforgeError USAGE_INVALID, RECIPE_INVALID
 */
export async function recipeOf(flags: RecipeFlags): Promise<Recipe> {
  const base = await baseRecipe(flags.recipe);
  const layers = [...(base.layers ?? []), ...(flags.layer ?? [])];
  const recipe: Recipe = {
    ...base,
    ...(flags.paper && { paper: true }),
    ...withWeights(base, flags),
    ...withActivations(base, flags),
    ...(layers.length > 0 && { layers }),
    ...(flags.artifact && { artifacts: [...new Set(flags.artifact)] }),
    ...(flags.equalize && { equalize: true }),
    ...(flags.sensitivity && { sensitivity: true }),
    ...withNce(base, flags),
    ...withFineTune(base, flags),
    ...withSearch(base, flags),
  };
  checkRecipe(recipe);
  return recipe;
}

function withActivations({ activations }: Recipe, flags: RecipeFlags): Pick<Recipe, 'activations'> {
  const { activationBits: bits, activationRange: range, activationShortcuts: shortcuts } = flags;
  if (bits === undefined && range === undefined && shortcuts === undefined) return {};
  return {
    activations: {
      ...activations,
      ...(bits && { bits: ACTIVATION_BITS[bits] }),
      ...(range && { range }),
      ...(shortcuts && { shortcuts }),
    },
  };
}

function withWeights({ weights }: Recipe, { groupSize, solver, residualPlanes }: RecipeFlags): Pick<Recipe, 'weights'> {
  if (groupSize === undefined && solver === undefined && residualPlanes === undefined) return {};
  return {
    weights: {
      ...weights,
      ...(groupSize && { groupSize: Number(groupSize) as GroupSize }),
      ...(solver && { solver }),
      ...(residualPlanes !== undefined && { residualPlanes }),
    },
  };
}

function withSearch({ search }: Recipe, flags: RecipeFlags): Pick<Recipe, 'search'> {
  const { searchMaxAccuracyDrop, searchMaxSize, searchMaxBits, searchMaxLatency, searchEvaluations, searchMinutes } =
    flags;
  const given: Search = {
    ...(searchMaxAccuracyDrop !== undefined && { maxAccuracyDrop: searchMaxAccuracyDrop }),
    ...(searchMaxSize !== undefined && { maxBytes: searchMaxSize }),
    ...(searchMaxBits !== undefined && { maxBitsPerWeight: searchMaxBits }),
    ...(searchMaxLatency !== undefined && { maxLatencyMs: searchMaxLatency }),
    ...(searchEvaluations !== undefined && { evaluations: searchEvaluations }),
    ...(searchMinutes !== undefined && { minutes: searchMinutes }),
  };
  return Object.keys(given).length === 0 ? {} : { search: { ...search, ...given } };
}

async function baseRecipe(recipe: string): Promise<Recipe> {
  const method = METHODS.find((name) => name === recipe);
  if (method !== undefined) return { method };
  if (recipe.endsWith('.json')) return readRecipe(recipe);
  throw new TritforgeError('USAGE_INVALID', `--recipe is "${recipe}".`, {
    remediation: `Give ${METHODS.join(', ')} or the path of a .json file.`,
  });
}
