/**
 *   input w with default value W        ⇒        initializer w = W
 *
 * Before IR version 4 every initializer had to be a graph input as well, so that weights look as if callers could set them.
 */
import type { Model } from '../ir/index.js';

/** In place. @returns whether an input was removed */
export function plainInitializers(model: Model): boolean {
  const { graph } = model;
  const before = graph.inputs.length;
  graph.inputs = graph.inputs.filter((input) => !graph.initializers.has(input.name));
  return graph.inputs.length !== before;
}
