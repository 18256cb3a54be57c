import { type Recipe, resolveRecipe } from '@tritforge/contracts';

/** What the result of a recipe is called in a table, such as `fgq N=64, 4-bit inputs`. */
export function titleOf(recipe: Recipe): string {
  const { method, paper, weights, activations, fineTune } = resolveRecipe(recipe);
  const { bits } = activations;
  const inputs = bits === null || bits === 8 ? '' : `, ${bits}-bit inputs`;
  const planes = weights.residualPlanes === 0 ? '' : ', second planes';
  const groups = method === 'fgq' || method === 'int4' ? ` N=${weights.groupSize}` : '';
  const training = fineTune === null ? '' : ', fine-tuned';
  return `${method}${groups}${method === 'fgq' ? planes : ''}${inputs}${training}${paper ? ', as published' : ''}`;
}
