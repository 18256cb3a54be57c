import { subgraphsOf } from './attribute-access.js';
import type { Graph, Node } from './graph.js';

/** Names that a graph's nodes and outputs use and that it does not define itself: values of enclosing graphs. */
export function capturedValues(graph: Graph): Set<string> {
  const defined = new Set<string>(graph.initializers.keys());
  for (const input of graph.inputs) defined.add(input.name);
  for (const node of graph.nodes) for (const output of node.outputs) defined.add(output);
  const captured = new Set<string>();
  for (const node of graph.nodes) for (const name of valuesUsedBy(node)) if (!defined.has(name)) captured.add(name);
  for (const output of graph.outputs) if (!defined.has(output.name)) captured.add(output.name);
  return captured;
}

/** Values that must exist before the node runs: its inputs and what its subgraphs capture. Left-out inputs are skipped. */
export function valuesUsedBy(node: Node): Set<string> {
  const used = new Set(node.inputs.filter((name) => name !== ''));
  for (const graph of subgraphsOf(node)) for (const name of capturedValues(graph)) used.add(name);
  return used;
}
