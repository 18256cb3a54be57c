/**
 * In which order layers are quantized. Each comes after those that its input depends on; of two layers whose outputs are added,
 * the one that sees more inputs comes last, because it can make up better for what the other one lost.
 */
import { type Graph, GraphIndex, type Node } from '../ir/index.js';
import type { PlannedLayer } from '../layers/layer.js';
import { sumBehind } from './layer-sums.js';

/** The layers in the order of their turns; deterministic, and the graph's order where nothing speaks against it. */
export function orderOfTurns(graph: Graph, layers: readonly PlannedLayer[]): PlannedLayer[] {
  return new Scheduler(graph, layers).order();
}

class Scheduler {
  readonly #graph: Graph;
  readonly #index: GraphIndex;
  readonly #layers: readonly PlannedLayer[];
  readonly #byNode: ReadonlyMap<Node, number>;
  /** Of each value, the layers that it depends on. */
  readonly #behind = new Map<string, ReadonlySet<number>>();
  readonly #order: PlannedLayer[] = [];
  readonly #scheduled = new Set<number>();

  constructor(graph: Graph, layers: readonly PlannedLayer[]) {
    this.#graph = graph;
    this.#index = new GraphIndex(graph);
    this.#layers = layers;
    this.#byNode = new Map(layers.map(({ layer }, i) => [layer.node, i]));
  }

  order(): PlannedLayer[] {
    for (const node of this.#graph.nodes) {
      const behind = new Set(node.inputs.flatMap((name) => [...(this.#behind.get(name) ?? [])]));
      const own = this.#byNode.get(node);
      if (own !== undefined) behind.add(own);
      for (const output of node.outputs) this.#behind.set(output, behind);
    }
    for (const i of this.#layers.keys()) this.#schedule(i);
    return this.#order;
  }

  #schedule(i: number): void {
    if (this.#scheduled.has(i)) return;
    const node = this.#layers[i]!.layer.node;
    for (const before of ascending(this.#behind.get(node.outputs[0]!) ?? [])) if (before !== i) this.#schedule(before);
    for (const summand of this.#summandsBefore(i)) this.#schedule(summand);
    this.#scheduled.add(i);
    this.#order.push(this.#layers[i]!);
  }

  /** The layers behind the other summand, when that is a layer which can come first and sees fewer inputs. */
  #summandsBefore(i: number): number[] {
    const sum = sumBehind(this.#layers[i]!.layer.node, this.#index);
    if (sum === null) return [];
    const other = sum.node.inputs[sum.other]!;
    const behind = ascending(this.#behind.get(other) ?? []);
    const producer = this.#index.producerOf(other);
    const direct = producer && this.#byNode.get(producer);
    if (behind.includes(i) || direct === undefined || this.#columns(direct) >= this.#columns(i)) return [];
    return behind;
  }

  #columns(i: number): number {
    const { inputChannels, taps } = this.#layers[i]!.layer.layout;
    return inputChannels * taps;
  }
}

function ascending(set: Iterable<number>): number[] {
  return [...set].sort((a, b) => a - b);
}
