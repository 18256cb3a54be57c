import { type Model, type Node, walkGraphs } from '../../ir/index.js';

/**
 * Gives every node a name of its own, in place: nodes without one become `<OpType>_<n>`, and a name that several nodes
 * share stays with the first. Names depend on the file only.
 */
export function nameNodes(model: Model): void {
  const nodes: Node[] = [];
  walkGraphs(model, (scope) => nodes.push(...scope.nodes));
  const taken = new Set<string>();
  const nameless = nodes.filter((node) => {
    const keeps = node.name !== '' && !taken.has(node.name);
    taken.add(node.name);
    return !keeps;
  });
  const counters = new Map<string, number>();
  for (const node of nameless) {
    const base = node.name === '' ? node.opType : node.name;
    let n = counters.get(base) ?? 0;
    while (taken.has(`${base}_${n}`)) n++;
    node.name = `${base}_${n}`;
    taken.add(node.name);
    counters.set(base, n + 1);
  }
}
