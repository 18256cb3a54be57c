/**
 * Decides which values are quantized, and which operators work on them.
 *
 * A layer wants its input as uint8, with codes of 8, 4 or 2 bits (activation-bits.ts). A convolution gives uint8 as well, because there is no integer kernel with a floating-point
 * result; a Gemm or MatMul does only where nothing but other layers uses its result. Between layers, operators of the integer table stay
 * in uint8 where their inputs already are (`natural`) and a layer further on wants their result (`demanded`); other values that
 * a layer wants are quantized on the way into it, and their other users see them unquantized. So a convolutional network runs
 * in integers throughout, and of a transformer only the inputs of matrix products are quantized.
 */
import type { Shortcuts } from '@tritforge/contracts';
import type { MaxCode } from '../calibrate/index.js';
import { type Graph, GraphIndex, type Node } from '../ir/index.js';
import type { PlannedLayer } from '../layers/layer.js';
import { assignBits } from './activation-bits.js';
import { impliedActivation } from './implied-activation.js';
import { dataInputsOf, type IntegerOp, integerOp } from './integer-ops.js';

/** A value that is quantized. */
export interface QuantizedValue {
  readonly name: string;
  /** The value whose range gives the scale; itself, or the one it shares its scale with. */
  readonly rangeOf: string;
  /**
   * Whether it comes into being quantized, so that all its users see it so. Otherwise it is computed in floating point and only
   * layers see it quantized.
   */
  readonly natural: boolean;
  /** The value of the graph that this is a second, narrower quantization of, for layers alone; left out for values of the graph. */
  readonly source?: string;
}

/** A second quantization of a value. */
export interface BranchedValue extends QuantizedValue {
  readonly source: string;
}

/** What a node of the main graph does in the quantized model; nodes that are not listed work in floating point. */
export type IntegerRole = 'layer' | 'arithmetic' | 'passThrough' | 'implied';

/** What is quantized where. */
export interface ActivationPlan {
  /** By value name. For a node whose activation function is implied, the value after it. Second quantizations have names of their own. */
  readonly values: ReadonlyMap<string, QuantizedValue>;
  readonly roles: ReadonlyMap<Node, IntegerRole>;
  /** The value that a node's first output ends up in: behind its implied activation function, if it has one. */
  readonly results: ReadonlyMap<Node, string>;
  /** Values whose ranges must be known. */
  readonly observed: readonly string[];
  /** Those of them that are never below zero: their zero point must be 0. */
  readonly nonNegative: ReadonlySet<string>;
  /** Those of them that not only layers take in quantized. */
  readonly streams: ReadonlySet<string>;
  /** By layer, the second quantization of its input that it takes in; layers that are not listed take in what their nodes name. */
  readonly branches: ReadonlyMap<Node, BranchedValue>;
  /** The largest codes of what is observed (activation-bits.ts). */
  readonly maxCodes: ReadonlyMap<string, MaxCode>;
}

/**
 * Plans the main graph. Layers without quantized activations count as ordinary operators.
 * @param shortcuts how many bits a value keeps that narrow layers and something else take in
 */
export async function planActivations(
  graph: Graph,
  layers: readonly PlannedLayer[],
  shortcuts: Shortcuts,
): Promise<ActivationPlan> {
  const planner = new Planner(graph, layers);
  await planner.findImplied();
  planner.settle();
  return assignBits(planner.plan(), layers, shortcuts);
}

class Planner {
  readonly #graph: Graph;
  readonly #index: GraphIndex;
  readonly #layers: ReadonlySet<Node>;
  /** Operators that work on uint8 unless an input or their use speaks against it. */
  readonly #ops = new Map<Node, IntegerOp>();
  readonly #implied = new Map<Node, Node>();
  #demanded = new Set<string>();
  #natural = new Set<string>();
  readonly #sharedRange = new Map<string, string>();
  readonly #merged = new Set<Node>();

  constructor(graph: Graph, layers: readonly PlannedLayer[]) {
    this.#graph = graph;
    this.#index = new GraphIndex(graph);
    this.#layers = new Set(
      layers
        .filter(({ applied, layer }) => applied.activationBits !== null && layer.inMainGraph)
        .map(({ layer }) => layer.node),
    );
    for (const node of graph.nodes) {
      const op = integerOp(node, this.#index);
      if (op !== null) this.#ops.set(node, op);
    }
  }

  async findImplied(): Promise<void> {
    for (const node of this.#graph.nodes) {
      if (!this.#layers.has(node) && this.#ops.get(node)?.kind !== 'arithmetic') continue;
      const activation = await impliedActivation(node.outputs[0]!, this.#index);
      if (activation !== null) this.#implied.set(node, activation);
    }
  }

  /** Starts from all operators of the table and drops those that cannot or need not be integer, until none is left to drop. */
  settle(): void {
    for (let before = -1; before !== this.#ops.size; ) {
      before = this.#ops.size;
      this.#findDemanded();
      this.#findNatural();
    }
    for (const [node, op] of this.#ops) {
      if (node.opType === 'Concat' && op.kind === 'arithmetic' && this.#canShareScale(node)) this.#shareScale(node);
    }
  }

  plan(): Omit<ActivationPlan, 'maxCodes'> {
    const values = new Map<string, QuantizedValue>();
    const roles = new Map<Node, IntegerRole>();
    const results = new Map<Node, string>();
    for (const name of [...this.#demanded, ...this.#natural]) {
      values.set(name, { name, rangeOf: this.#rangeOf(name), natural: this.#natural.has(name) });
    }
    for (const node of this.#graph.nodes) {
      const role = this.#layers.has(node)
        ? 'layer'
        : this.#merged.has(node)
          ? 'passThrough'
          : this.#ops.get(node)?.kind;
      if (role === undefined) continue;
      roles.set(node, role);
      const result = this.#resultOf(node);
      const implied = this.#implied.get(node);
      const takesOver = implied !== undefined && values.get(result)?.natural === true;
      if (takesOver) roles.set(implied, 'implied');
      results.set(node, takesOver ? result : node.outputs[0]!);
    }
    const observed = [...new Set([...values.values()].map(({ rangeOf }) => rangeOf))];
    return {
      values,
      roles,
      results,
      observed,
      nonNegative: new Set(observed.filter((name) => this.#isNonNegative(name))),
      streams: new Set([...values.values()].filter((value) => this.#isStream(value)).map(({ rangeOf }) => rangeOf)),
      branches: new Map(),
    };
  }

  /** Whether something else than layers takes the value in quantized, apart from what moves it to where it is judged again. */
  #isStream({ name, natural }: QuantizedValue): boolean {
    if (!natural) return false;
    const isOther = (user: Node) =>
      this.#layers.has(user)
        ? user.inputs.lastIndexOf(name) !== 0
        : !this.#merged.has(user) && this.#ops.get(user)?.kind !== 'passThrough';
    return this.#index.isOutput(name) || this.#index.consumersOf(name).some(isOther);
  }

  #resultOf(node: Node): string {
    return this.#implied.get(node)?.outputs[0] ?? node.outputs[0]!;
  }

  #findDemanded(): void {
    this.#demanded = new Set();
    for (const node of this.#graph.nodes.toReversed()) {
      const op = this.#ops.get(node);
      if (this.#layers.has(node)) this.#demanded.add(node.inputs[0]!);
      else if (op !== undefined && this.#isDemanded(node))
        for (const name of dataInputsOf(node, op)) this.#demanded.add(name);
    }
  }

  #isDemanded(node: Node): boolean {
    return this.#demanded.has(this.#resultOf(node)) || node.outputs.some((name) => this.#demanded.has(name));
  }

  #findNatural(): void {
    this.#natural = new Set();
    for (const node of this.#graph.nodes) {
      const op = this.#ops.get(node);
      if (this.#layers.has(node)) {
        if (node.opType === 'Conv' || this.#onlyIntegersUse(this.#resultOf(node)))
          this.#natural.add(this.#resultOf(node));
      } else if (op !== undefined) {
        const inputsNatural = dataInputsOf(node, op).every((name) => this.#natural.has(name));
        if (!inputsNatural || (op.kind === 'arithmetic' && !this.#isDemanded(node))) this.#ops.delete(node);
        else if (op.kind === 'arithmetic') this.#natural.add(this.#resultOf(node));
        else for (const output of node.outputs) this.#natural.add(output);
      }
    }
  }

  #onlyIntegersUse(value: string): boolean {
    if (this.#index.isOutput(value) || !this.#demanded.has(value)) return false;
    return this.#index.consumersOf(value).every((consumer) => {
      if (this.#layers.has(consumer))
        return consumer.inputs.indexOf(value) === 0 && consumer.inputs.lastIndexOf(value) === 0;
      const moves = this.#ops.get(consumer)?.kind === 'passThrough' && consumer.inputs[0] === value;
      return moves && consumer.outputs.every((output) => this.#onlyIntegersUse(output));
    });
  }

  /**
   * A Concat whose inputs nothing else uses can have them all in its own scale and then only copies bytes: no second rounding.
   * Inputs behind a Relu need zero point 0, so either all inputs are or none.
   */
  #canShareScale(concat: Node): boolean {
    if (this.#implied.has(concat)) return false;
    const signs = new Set(concat.inputs.map((name) => this.#isNonNegative(name)));
    return signs.size === 1 && concat.inputs.every((name) => this.#isExclusive(name, concat));
  }

  #isExclusive(value: string, user: Node): boolean {
    if (this.#index.soleConsumerOf(value) !== user) return false;
    const producer = this.#index.producerOf(value)!;
    const op = this.#ops.get(producer);
    return (
      op?.kind !== 'passThrough' || (producer.outputs.length === 1 && this.#isExclusive(producer.inputs[0]!, producer))
    );
  }

  #shareScale(concat: Node): void {
    this.#merged.add(concat);
    for (const name of concat.inputs) this.#sharedRange.set(this.#rangeOf(name), concat.outputs[0]!);
  }

  /** Follows pass-through operators back, and shared scales forward, to the value that is observed. */
  #rangeOf(value: string): string {
    const shared = this.#sharedRange.get(value);
    if (shared !== undefined) return this.#rangeOf(shared);
    const producer = this.#index.producerOf(value);
    const moved = producer !== undefined && this.#natural.has(value) && this.#ops.get(producer)?.kind === 'passThrough';
    return moved ? this.#rangeOf(producer.inputs[0]!) : value;
  }

  #isNonNegative(value: string): boolean {
    const producer = this.#index.producerOf(value);
    if (producer === undefined) return false;
    if (producer.opType === 'Relu' || producer.opType === 'Sigmoid' || producer.opType === 'Softmax') return true;
    if ([...this.#implied.values()].includes(producer)) return true;
    const op = this.#ops.get(producer);
    const keepsSign =
      op?.kind === 'passThrough' || producer.opType === 'Concat' || producer.opType.endsWith('AveragePool');
    return op !== undefined && keepsSign && dataInputsOf(producer, op).every((name) => this.#isNonNegative(name));
  }
}
