import { tensorAttribute } from './attribute-access.js';
import { valuesUsedBy } from './captured-values.js';
import type { Graph, Node } from './graph.js';
import type { Tensor } from './tensor.js';

/**
 * Who makes and who uses each value of one graph. A snapshot: make a new one after the graph has changed. A node whose
 * subgraph captures a value is a consumer of it.
 */
export class GraphIndex {
  readonly graph: Graph;
  readonly #producers = new Map<string, Node>();
  readonly #consumers = new Map<string, Node[]>();
  readonly #outputs: ReadonlySet<string>;

  constructor(graph: Graph) {
    this.graph = graph;
    this.#outputs = new Set(graph.outputs.map((output) => output.name));
    for (const node of graph.nodes) {
      for (const output of node.outputs) if (output !== '') this.#producers.set(output, node);
      for (const name of valuesUsedBy(node)) {
        const consumers = this.#consumers.get(name);
        if (consumers === undefined) this.#consumers.set(name, [node]);
        else consumers.push(node);
      }
    }
  }

  /** The node that computes the value; undefined for inputs, initializers and values of enclosing graphs. */
  producerOf(name: string): Node | undefined {
    return this.#producers.get(name);
  }

  /** The nodes that use the value, each once, in graph order. */
  consumersOf(name: string): readonly Node[] {
    return this.#consumers.get(name) ?? [];
  }

  /** The only user of the value; undefined when it has none or several, or is a graph output. */
  soleConsumerOf(name: string): Node | undefined {
    const consumers = this.consumersOf(name);
    return consumers.length === 1 && !this.isOutput(name) ? consumers[0] : undefined;
  }

  isOutput(name: string): boolean {
    return this.#outputs.has(name);
  }

  /**
   * The constant behind a value: an initializer or the output of a Constant node, through any Identity nodes. The name
   * is that of the initializer or of the Constant's output.
   */
  constantOf(name: string): { readonly name: string; readonly tensor: Tensor } | undefined {
    const seen = new Set<string>();
    for (let at: string | undefined = name; at !== undefined && !seen.has(at); ) {
      seen.add(at);
      const tensor = this.graph.initializers.get(at);
      if (tensor !== undefined) return { name: at, tensor };
      const producer: Node | undefined = this.#producers.get(at);
      if (producer === undefined || producer.domain !== '') return undefined;
      if (producer.opType === 'Constant') {
        const value = tensorAttribute(producer, 'value');
        return value === undefined ? undefined : { name: at, tensor: value };
      }
      at = producer.opType === 'Identity' ? producer.inputs[0] : undefined;
    }
    return undefined;
  }
}
