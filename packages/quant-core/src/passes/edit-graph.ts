import { type Attribute, type Graph, type Model, type Node, subgraphsOf, valuesUsedBy } from '../ir/index.js';

/** Makes a node of the standard domain. */
export function makeNode(
  name: string,
  opType: string,
  inputs: string[],
  outputs: string[],
  attributes: Readonly<Record<string, Attribute>> = {},
): Node {
  return { name, opType, domain: '', inputs, outputs, attributes: new Map(Object.entries(attributes)) };
}

/** Makes every node of the graph and of its subgraphs use `to` where it used `from`; graph outputs keep their names. */
export function renameUses(graph: Graph, from: string, to: string): void {
  for (const node of graph.nodes) {
    node.inputs = node.inputs.map((name) => (name === from ? to : name));
    for (const subgraph of subgraphsOf(node)) renameUses(subgraph, from, to);
  }
}

/** Puts nodes in front of another one of the same graph. */
export function insertBefore(graph: Graph, anchor: Node, nodes: readonly Node[]): void {
  graph.nodes.splice(graph.nodes.indexOf(anchor), 0, ...nodes);
}

/**
 * Removes nodes of the main graph whose outputs nothing uses, initializers that nothing uses, and type notes of values that
 * are gone. Nodes that hold subgraphs and nodes of subgraphs stay.
 * @param keep values that count as used
 * @returns whether anything was removed
 */
export function removeUnused(model: Model, keep: readonly string[] = []): boolean {
  const { graph } = model;
  const before = graph.nodes.length + graph.initializers.size;
  const used = new Set([...graph.outputs.map((output) => output.name), ...keep]);
  const kept: Node[] = [];
  for (const node of graph.nodes.toReversed()) {
    if (subgraphsOf(node).length === 0 && !node.outputs.some((name) => used.has(name))) continue;
    for (const name of valuesUsedBy(node)) used.add(name);
    kept.push(node);
  }
  graph.nodes = kept.reverse();
  for (const name of graph.initializers.keys()) if (!used.has(name)) graph.initializers.delete(name);
  const present = new Set([...used, ...graph.nodes.flatMap((node) => node.outputs)]);
  for (const name of graph.valueInfo.keys()) if (!present.has(name)) graph.valueInfo.delete(name);
  return graph.nodes.length + graph.initializers.size !== before;
}
