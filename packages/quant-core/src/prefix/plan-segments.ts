/**
 * Cuts a graph at stops. A stop is a list of values that are wanted together; the segment of a stop holds the nodes that
 * its values need and that no earlier segment holds. So every node runs in one segment, nodes that no stop needs in none.
 *
 *   segments     ──A──▶ stop 0 ──B, C──▶ stop 1 ──D──▶ stop 2
 *   expiry            0        1       2         3     4      5
 *
 * What crosses from one segment to a later one is stored, and the plan says until when: expiry 2k is the end of segment k,
 * expiry 2k + 1 the moment when stop k is left.
 */

import { type Graph, type Node, valuesUsedBy } from '../ir/index.js';

/** The nodes that lead to one stop from those before it. */
export interface Segment {
  /** In graph order; empty where earlier segments computed everything. */
  readonly nodes: readonly Node[];
  /** Stored values that the nodes use. */
  readonly inputs: readonly string[];
  /** Values that are to be stored. */
  readonly outputs: readonly string[];
}

export interface SegmentPlan {
  /** One per stop. */
  readonly segments: readonly Segment[];
  /** When each stored value may go. Fed values that are not listed are not needed. */
  readonly expiry: ReadonlyMap<string, number>;
}

export interface Cuts {
  /** Values that every run feeds. */
  readonly fed: ReadonlySet<string>;
  /** What is wanted, in this order. Names of the main graph. */
  readonly stops: readonly (readonly string[])[];
  /** Values that cannot be stored: the nodes that compute them run again in every segment that uses them. */
  readonly unstorable: ReadonlySet<string>;
}

/** @throws RangeError when a stop wants a value that the graph does not have */
export function planSegments(graph: Graph, cuts: Cuts): SegmentPlan {
  const planner = new SegmentPlanner(graph, cuts);
  const cones = cuts.stops.map((stop) => planner.segment(stop));
  const expiry = new Map<string, number>();
  for (const [k, { inputs }] of cones.entries()) for (const name of inputs) expiry.set(name, 2 * k);
  for (const [k, stop] of cuts.stops.entries()) {
    for (const name of stop)
      if (!planner.isConstant(name)) expiry.set(name, Math.max(expiry.get(name) ?? 0, 2 * k + 1));
  }
  const segments = cones.map(({ nodes, inputs, fresh }) => ({
    nodes,
    inputs: [...inputs],
    outputs: fresh.filter((name) => expiry.has(name)),
  }));
  return { segments, expiry };
}

/** The nodes of a segment, what they take from the store, and what they compute for the first time. */
interface Cone {
  readonly nodes: Node[];
  readonly inputs: Set<string>;
  readonly fresh: string[];
}

class SegmentPlanner {
  readonly #graph: Graph;
  readonly #cuts: Cuts;
  readonly #producers = new Map<string, number>();
  readonly #done = new Set<number>();

  constructor(graph: Graph, cuts: Cuts) {
    this.#graph = graph;
    this.#cuts = cuts;
    for (const [index, { outputs }] of graph.nodes.entries()) {
      for (const output of outputs) if (output !== '') this.#producers.set(output, index);
    }
  }

  /** Whether the value is an initializer that nothing feeds. */
  isConstant(name: string): boolean {
    return !this.#cuts.fed.has(name) && this.#graph.initializers.has(name);
  }

  segment(stop: readonly string[]): Cone {
    const inside = new Set<number>();
    const pending: string[] = [];
    for (const name of stop) {
      if (!this.#producers.has(name) && !this.#cuts.fed.has(name) && !this.isConstant(name))
        throw new RangeError(`the main graph has no value "${name}" that could be computed`);
      if (this.#missing(name)) pending.push(name);
    }
    for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
      const index = this.#producers.get(name)!;
      if (inside.has(index)) continue;
      inside.add(index);
      for (const used of valuesUsedBy(this.#graph.nodes[index]!)) if (this.#missing(used)) pending.push(used);
    }
    return this.#cone([...inside].sort((a, b) => a - b));
  }

  /** Whether a segment has to compute the value itself. */
  #missing(name: string): boolean {
    const index = this.#producers.get(name);
    return index !== undefined && (this.#cuts.unstorable.has(name) || !this.#done.has(index));
  }

  #cone(indices: readonly number[]): Cone {
    const nodes = indices.map((index) => this.#graph.nodes[index]!);
    const made = new Set(nodes.flatMap(({ outputs }) => outputs));
    const used = new Set(nodes.flatMap((node) => [...valuesUsedBy(node)]));
    const inputs = new Set([...used].filter((name) => !made.has(name) && this.#isStored(name)));
    const fresh = indices
      .filter((index) => !this.#done.has(index))
      .flatMap((index) => this.#graph.nodes[index]!.outputs)
      .filter((name) => name !== '' && !this.#cuts.unstorable.has(name));
    for (const index of indices) this.#done.add(index);
    return { nodes, inputs, fresh };
  }

  #isStored(name: string): boolean {
    return this.#cuts.fed.has(name) || this.#producers.has(name);
  }
}
