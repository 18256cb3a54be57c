import type { FineTune, ResolvedFineTune } from './fine-tune.js';
import { completeNce } from './nce.js';
import { isUniform, type Recipe, type ResolvedRecipe } from './recipe.js';

/**
 * A resolved recipe as a recipe that can be submitted: all defaults are written out, and what its method leaves no choice about
 * is left out. Resolving it gives the same again, also with an engine whose defaults are others.
 */
export function completeRecipe({ search, nce, weights, firstLast, fineTune, ...settled }: ResolvedRecipe): Recipe {
  const rest = {
    ...settled,
    ...(nce !== null && { nce: completeNce(nce) }),
    ...(fineTune !== null && { fineTune: completeFineTune(fineTune) }),
  };
  const { groupSize: _, residualPlanes: __, ...solving } = weights;
  if (search !== null) return { ...rest, search, weights: solving };
  return { ...rest, weights: isUniform(rest.method) ? solving : weights, firstLast };
}

function completeFineTune({ epochs, minutes, patience, loss, features, ...rest }: ResolvedFineTune): FineTune {
  return {
    ...rest,
    ...(epochs !== null && { epochs }),
    ...(minutes !== null && { minutes }),
    ...(loss !== null && { loss }),
    ...(features !== null && { features }),
    ...(patience !== null && { patience }),
  };
}
