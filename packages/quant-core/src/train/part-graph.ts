import { withOutputs } from '../calibrate/observed-model.js';
import type { Model } from '../ir/index.js';
import { removeUnused } from '../passes/edit-graph.js';
import { type Parameter, withParameterInput } from './parameter-vector.js';

/** A graph that computes one value from parameters and samples. */
export interface PartGraph {
  readonly model: Model;
  readonly output: string;
  readonly parameterInput: string;
}

/** @param parameters one after the other in the vector, from the first on */
export function partGraph(model: Model, output: string, parameters: readonly Parameter[]): PartGraph {
  const part = onlyWhatComputes(model, output);
  const { initializers } = part.graph;
  // Split must cover the whole vector, so that what the value does not need goes in as well.
  const missing = parameters.filter(({ name }) => !initializers.has(name));
  for (const { name } of missing) initializers.set(name, model.graph.initializers.get(name)!);
  const { model: whole, input } = withParameterInput(part, parameters);
  return { model: whole, output, parameterInput: input };
}

/** The part of a model that a value is computed by; the given one stays as it is. */
export function onlyWhatComputes(model: Model, output: string): Model {
  const { graph } = withOutputs(model, [output]);
  const copy = { ...model, graph: { ...graph, initializers: new Map(graph.initializers), valueInfo: new Map() } };
  removeUnused(copy);
  return copy;
}
