/**
 *   Constant{value} → v        ⇒        initializer v
 *
 * Everything after this pass finds constants in one place. Constants that are graph outputs stay nodes.
 */
import {
  type Graph,
  type Model,
  type Node,
  scalarFloat,
  scalarInt64,
  type Tensor,
  tensorFromFloats,
  tensorFromInt64,
  walkGraphs,
} from '../ir/index.js';

/** In place, subgraphs included. @returns whether a node became an initializer */
export function constantsToInitializers(model: Model): boolean {
  let changed = false;
  walkGraphs(model, ({ graph }) => {
    if (graph !== null) changed = convert(graph) || changed;
  });
  return changed;
}

function convert(graph: Graph): boolean {
  const outputs = new Set(graph.outputs.map((output) => output.name));
  const before = graph.nodes.length;
  graph.nodes = graph.nodes.filter((node) => {
    const name = node.outputs[0];
    const tensor = constantValue(node);
    if (tensor === undefined || name === undefined || outputs.has(name)) return true;
    graph.initializers.set(name, tensor);
    return false;
  });
  return graph.nodes.length !== before;
}

/** The tensor of a Constant node; undefined for other nodes, and for strings and sparse tensors. */
function constantValue(node: Node): Tensor | undefined {
  if (node.opType !== 'Constant' || node.domain !== '') return undefined;
  for (const [name, attribute] of node.attributes) {
    if (name === 'value' && attribute.kind === 'tensor') return attribute.value;
    if (name === 'value_float' && attribute.kind === 'float') return scalarFloat(attribute.value);
    if (name === 'value_int' && attribute.kind === 'int') return scalarInt64(attribute.value);
    if (name === 'value_floats' && attribute.kind === 'floats') {
      return tensorFromFloats([attribute.value.length], Float32Array.from(attribute.value));
    }
    if (name === 'value_ints' && attribute.kind === 'ints') {
      return tensorFromInt64([attribute.value.length], attribute.value);
    }
  }
  return undefined;
}
