import { type Report, TritforgeError } from '@tritforge/contracts';
import type { QuantizeContext, QuantizeRequest } from './quantize-request.js';

export type { DatasetReference, PhaseProgress, QuantizeContext, QuantizeRequest } from './quantize-request.js';

/**
 * Quantizes a model and proves what became of it.
 * @throws TritforgeError naming what is wrong with model, data or recipe
 */
export async function quantize(request: QuantizeRequest, _context: QuantizeContext): Promise<Report> {
  throw new TritforgeError('RECIPE_UNSUPPORTED', `${request.recipe.method ?? 'fgq'} is not built in yet`);
}
