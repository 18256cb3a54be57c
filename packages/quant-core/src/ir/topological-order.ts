import { TritforgeError } from '@tritforge/contracts';
import { valuesUsedBy } from './captured-values.js';
import type { Node } from './graph.js';

/**
 * The nodes with every producer before its consumers. Nodes that are in order already keep it; otherwise each node
 * moves only as far ahead as its first consumer needs. Runs in linear time and without recursion.
 * @throws TritforgeError MODEL_CYCLIC naming a node on the cycle
 */
export function topologicalOrder(nodes: readonly Node[]): Node[] {
  const producers = new Map<string, number>();
  nodes.forEach((node, index) => {
    for (const output of node.outputs) if (output !== '') producers.set(output, index);
  });
  const needs = nodes.map((node) =>
    [...valuesUsedBy(node)].map((name) => producers.get(name)).filter((index) => index !== undefined),
  );
  if (needs.every((indices, at) => indices.every((index) => index < at))) return [...nodes];
  return depthFirst(nodes, needs);
}

function depthFirst(nodes: readonly Node[], needs: readonly (readonly number[])[]): Node[] {
  const order: Node[] = [];
  const state = new Uint8Array(nodes.length); // 0 new, 1 on the path, 2 placed
  for (let root = 0; root < nodes.length; root++) {
    const path = state[root] === 0 ? [{ index: root, next: 0 }] : [];
    while (path.length > 0) {
      const top = path[path.length - 1]!;
      state[top.index] = 1;
      const need = needs[top.index]![top.next++];
      if (need === undefined) {
        state[top.index] = 2;
        order.push(nodes[top.index]!);
        path.pop();
      } else if (state[need] === 1) throw cyclic(nodes[need]!);
      else if (state[need] === 0) path.push({ index: need, next: 0 });
    }
  }
  return order;
}

function cyclic(node: Node): TritforgeError {
  return new TritforgeError('MODEL_CYCLIC', `Node ${node.name} (${node.opType}) needs its own output to run`, {
    node: node.name,
    opType: node.opType,
    remediation: 'Export the model again; ONNX graphs have no cycles.',
  });
}
