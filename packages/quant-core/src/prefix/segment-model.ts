import type { DataType, Model, Tensor, ValueInfo } from '../ir/index.js';
import { valuesUsedBy } from '../ir/index.js';
import type { Segment } from './plan-segments.js';

/**
 * A segment as a model of its own. Nodes and tensors are shared with the whole model. Stored values become graph inputs
 * of any shape; inputs of the whole model keep their declaration.
 * @param dtypeOf types of the stored values
 * @param replaced initializers to use instead of the model's own
 */
export function segmentModel(
  model: Model,
  segment: Segment,
  dtypeOf: (name: string) => DataType,
  replaced: ReadonlyMap<string, Tensor>,
): Model {
  const { graph } = model;
  const used = new Set(segment.nodes.flatMap((node) => [...valuesUsedBy(node)]));
  const declared = graph.inputs.filter(({ name }) => used.has(name));
  const isDeclared = new Set(declared.map(({ name }) => name));
  const stored = segment.inputs.filter((name) => !isDeclared.has(name));
  const made = new Set(segment.nodes.flatMap(({ outputs }) => outputs));
  const initializers = [...graph.initializers].filter(([name]) => used.has(name));
  return {
    ...model,
    graph: {
      ...graph,
      nodes: [...segment.nodes],
      inputs: [...declared, ...stored.map((name): ValueInfo => ({ name, dtype: dtypeOf(name), shape: null }))],
      outputs: segment.outputs.map((name) => ({ name, dtype: 'undefined', shape: null })),
      initializers: new Map(initializers.map(([name, tensor]) => [name, replaced.get(name) ?? tensor])),
      valueInfo: new Map([...graph.valueInfo].filter(([name]) => made.has(name))),
    },
  };
}
