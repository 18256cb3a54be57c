/**
 * Short names for what quantization adds to a graph. Long ones, made from the names of weights, are a quarter of the file of a small
 * network; the names that the model came with stay, so that layers and values are found again.
 */
import { type Graph, type Model, type Node, subgraphsOf, valuesUsedBy } from '../ir/index.js';

/**
 * Renames, in place, the values of the main graph that `original` does not have, and takes away the names of nodes that it does not
 * have. Values that subgraphs use keep their names.
 */
export function shortenNames({ graph }: Model, original: Graph): void {
  const kept = namesOf(original);
  for (const node of graph.nodes) if (subgraphsOf(node).length > 0) addAll(kept, valuesUsedBy(node));
  const taken = new Set([...kept, ...namesOf(graph), ...graph.nodes.flatMap(innerNames)]);
  const short = new Map<string, string>();
  let next = 0;
  const rename = (name: string): string => {
    if (name === '' || kept.has(name)) return name;
    const renamed = short.get(name);
    if (renamed !== undefined) return renamed;
    let fresh = shortName(next++);
    while (taken.has(fresh)) fresh = shortName(next++);
    short.set(name, fresh);
    return fresh;
  };
  const known = new Set(original.nodes.map(({ name }) => name));
  graph.nodes = graph.nodes.map((node) => ({
    ...node,
    name: known.has(node.name) ? node.name : '',
    inputs: node.inputs.map(rename),
    outputs: node.outputs.map(rename),
  }));
  graph.initializers = new Map([...graph.initializers].map(([name, tensor]) => [rename(name), tensor]));
  graph.valueInfo = new Map(
    [...graph.valueInfo].map(([name, info]) => [rename(name), { ...info, name: rename(name) }]),
  );
}

/** `_0`, `_1` … `_z`, `_10` … */
function shortName(number: number): string {
  return `_${number.toString(36)}`;
}

/** Names of the values of a graph itself. */
function namesOf({ inputs, outputs, initializers, nodes }: Graph): Set<string> {
  const names = new Set([...inputs, ...outputs].map(({ name }) => name));
  addAll(names, initializers.keys());
  for (const node of nodes) addAll(names, node.outputs);
  return names;
}

/** Names within the subgraphs of a node. */
function innerNames(node: Node): string[] {
  return subgraphsOf(node).flatMap((graph) => [...namesOf(graph), ...graph.nodes.flatMap(innerNames)]);
}

function addAll(target: Set<string>, names: Iterable<string>): void {
  for (const name of names) target.add(name);
}
