import { intsInMemory, isFloat, type Model, readFloats, type Tensor } from '../../ir/index.js';
import { REFERENCE, type Tensor64 } from './reference.js';

/** The initializers of a model in float64. */
export async function constants64({ graph }: Model): Promise<Map<string, Tensor64>> {
  const entries = [...graph.initializers].map(async ([name, tensor]) => [name, await toTensor64(tensor)] as const);
  return new Map(await Promise.all(entries));
}

export async function toTensor64(tensor: Tensor): Promise<Tensor64> {
  const values = isFloat(tensor.dtype) ? await readFloats(tensor) : (intsInMemory(tensor) ?? []).map(Number);
  return { shape: tensor.shape, data: Float64Array.from(values) };
}

/** All values of the main graph, by the definitions of its operators. @param given inputs and constants */
export function evaluate64({ graph }: Model, given: ReadonlyMap<string, Tensor64>): Map<string, Tensor64> {
  const values = new Map(given);
  for (const node of graph.nodes) {
    const definition = REFERENCE[node.opType];
    if (definition === undefined) throw new Error(`there is no definition of ${node.opType}`);
    const outputs = definition(
      node.inputs.map((name) => values.get(name)),
      node,
    );
    for (const [i, name] of node.outputs.entries()) if (outputs[i] !== undefined) values.set(name, outputs[i]);
  }
  return values;
}
