/**
 *   Sum(x, y)        ⇒        Add(x, y)
 *
 * onnxruntime has an integer Add and no integer Sum.
 */
import type { Model } from '../ir/index.js';

/** In place, main graph only. @returns whether a node changed */
export function sumToAdd(model: Model): boolean {
  const sums = model.graph.nodes.filter(
    (node) => node.opType === 'Sum' && node.domain === '' && node.inputs.length === 2,
  );
  for (const node of sums) node.opType = 'Add';
  return sums.length > 0;
}
