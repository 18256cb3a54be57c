import type { Model } from './graph.js';
import { walkGraphs } from './walk-graphs.js';

/**
 * `base` if it is free, else `base_1`, `base_2`, …; the result is added to `taken`.
 */
export function uniqueName(taken: Set<string>, base: string): string {
  let name = base;
  for (let n = 1; taken.has(name); n++) name = `${base}_${n}`;
  taken.add(name);
  return name;
}

/** Names that are free in the whole model, for passes that add nodes and values. Deterministic. */
export class NameAllocator {
  readonly #values = new Set<string>();
  readonly #nodes = new Set<string>();

  constructor(model: Model) {
    walkGraphs(model, ({ nodes, graph, function: definition }) => {
      for (const node of nodes) {
        this.#nodes.add(node.name);
        for (const name of [...node.inputs, ...node.outputs]) this.#values.add(name);
      }
      for (const name of graph?.initializers.keys() ?? []) this.#values.add(name);
      for (const value of [...(graph?.inputs ?? []), ...(graph?.outputs ?? [])]) this.#values.add(value.name);
      for (const name of [...(definition?.inputs ?? []), ...(definition?.outputs ?? [])]) this.#values.add(name);
    });
  }

  /** A value name that nothing in the model has, derived from `base`. */
  value(base: string): string {
    return uniqueName(this.#values, base);
  }

  /** A node name that no node in the model has, derived from `base`. */
  node(base: string): string {
    return uniqueName(this.#nodes, base);
  }
}
