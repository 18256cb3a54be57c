import {
  type ArtifactProfile,
  checkRecipe,
  type GroupSize,
  type LayerRule,
  type Recipe,
  TritforgeError,
} from '@tritforge/contracts';
import { readRecipe } from './input-files.js';

const ACTIVATION_BITS = { 8: 8, 4: 4, none: null } as const;

/** The flags that say how to quantize. */
export interface RecipeFlags {
  /** `fgq`, `int8` or the path of a .json file. */
  readonly recipe: string;
  readonly paper?: boolean;
  readonly groupSize?: '4' | '8' | '16' | '32' | '64';
  readonly residualPlanes?: number;
  readonly activationBits?: '8' | '4' | 'none';
  readonly layer?: readonly LayerRule[];
  readonly artifact?: ArtifactProfile[];
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
    ...(flags.activationBits && {
      activations: { ...base.activations, bits: ACTIVATION_BITS[flags.activationBits] },
    }),
    ...(layers.length > 0 && { layers }),
    ...(flags.artifact && { artifacts: [...new Set(flags.artifact)] }),
  };
  checkRecipe(recipe);
  return recipe;
}

function withWeights({ weights }: Recipe, { groupSize, residualPlanes }: RecipeFlags): Pick<Recipe, 'weights'> {
  if (groupSize === undefined && residualPlanes === undefined) return {};
  return {
    weights: {
      ...weights,
      ...(groupSize && { groupSize: Number(groupSize) as GroupSize }),
      ...(residualPlanes !== undefined && { residualPlanes }),
    },
  };
}

async function baseRecipe(recipe: string): Promise<Recipe> {
  if (recipe === 'fgq' || recipe === 'int8') return { method: recipe };
  if (recipe.endsWith('.json')) return readRecipe(recipe);
  throw new TritforgeError('USAGE_INVALID', `--recipe is "${recipe}".`, {
    remediation: 'Give fgq, int8 or the path of a .json file.',
  });
}
