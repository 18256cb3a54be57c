/**
 * A scratch model that tries quantizations of values on the operators that take them in.
 *
 *   v ─┬──────────────────────────▶ user ─▶ y ──────────┬─▶ Σ y²
 *      └─▶ Q ─▶ (Clip) ─▶ DQ ─▶ copy of user ─▶ ŷ ─▶ y − ŷ ─▶ Σ (y − ŷ)²      once for each trial
 *
 * All but the value that is tried stays in floating point. y is taken behind the activation function that the quantization of the
 * user's result implies, so that what a Relu drops does not count. The outputs are scalars: however many trials there are, what a
 * run returns is small.
 */
import { layerInput } from '../activations/activation-bits.js';
import { dataInputsOf, integerOp } from '../activations/integer-ops.js';
import type { ActivationPlan } from '../activations/plan-activations.js';
import { withOutputs } from '../calibrate/observed-model.js';
import type { ValueRange } from '../calibrate/value-range.js';
import { GraphIndex, intValue, type Model, type Node, scalarFloat, scalarUint8 } from '../ir/index.js';
import { GraphBuilder } from '../passes/graph-builder.js';

/** Quantizations of values that are to be tried, by the value that is observed. */
export type Trials = ReadonlyMap<string, readonly ValueRange[]>;

/** Names of the outputs for one user of a value. */
export interface UserOutputs {
  /** The operator; null where no operator takes the value in, so that its own error counts. */
  readonly node: Node | null;
  /** Σ y². */
  readonly signal: string;
  /** Σ (y − ŷ)² of each trial. */
  readonly noises: readonly string[];
}

export interface TrialGraph {
  readonly model: Model;
  /** By the value that is observed. */
  readonly users: ReadonlyMap<string, readonly UserOutputs[]>;
}

/** Makes the scratch model; nodes and tensors of the given one are shared. */
export function buildTrialGraph(model: Model, plan: ActivationPlan, trials: Trials): TrialGraph {
  return new TrialGraphBuilder(model, plan).build(trials);
}

class TrialGraphBuilder {
  readonly #model: Model;
  readonly #plan: ActivationPlan;
  readonly #index: GraphIndex;
  readonly #builder: GraphBuilder;
  readonly #signals = new Map<string, string>();

  constructor(model: Model, plan: ActivationPlan) {
    this.#model = model;
    this.#plan = plan;
    this.#index = new GraphIndex(model.graph);
    this.#builder = new GraphBuilder(model);
  }

  build(trials: Trials): TrialGraph {
    const users = new Map(
      [...trials].map(([value, ranges]) => [value, this.#usersOf(value).map((node) => this.#try(value, ranges, node))]),
    );
    const { nodes, initializers } = this.#builder;
    const graph = { ...this.#model.graph, nodes: [...this.#model.graph.nodes, ...nodes], initializers };
    const outputs = [...users.values()].flat().flatMap(({ signal, noises }) => [signal, ...noises]);
    return { model: withOutputs({ ...this.#model, graph }, [...new Set(outputs)]), users };
  }

  /** Integer operators that read the value, or one that shares its range; null stands for the value itself. */
  #usersOf(value: string): (Node | null)[] {
    const users = this.#model.graph.nodes.filter((node) => this.#inputsWithRange(node, value).length > 0);
    return users.length === 0 ? [null] : users;
  }

  /** What a node takes in with the range of a value. */
  #inputsWithRange(node: Node, value: string): string[] {
    const role = this.#plan.roles.get(node);
    if (role === 'layer') return layerInput(this.#plan, node)?.rangeOf === value ? [node.inputs[0]!] : [];
    const data = role === 'arithmetic' ? dataInputsOf(node, integerOp(node, this.#index)!) : [];
    return data.filter((name) => this.#plan.values.get(name)?.rangeOf === value);
  }

  #try(value: string, ranges: readonly ValueRange[], node: Node | null): UserOutputs {
    const result = node === null ? value : this.#plan.results.get(node)!;
    return {
      node,
      signal: this.#signalOf(result),
      noises: ranges.map((range) => {
        const tried = node === null ? this.#quantized(value, range) : this.#copy(node, value, result, range);
        return this.#power(this.#builder.add('Sub', [result, tried], `${result}_noise`));
      }),
    };
  }

  /** The user, and the activation function behind it, on the quantized value. */
  #copy(node: Node, value: string, result: string, range: ValueRange): string {
    const quantized = new Set(this.#inputsWithRange(node, value));
    const inputs = node.inputs.map((name) => (quantized.has(name) ? this.#quantized(name, range) : name));
    const output = this.#copyOf(node, inputs);
    const last = this.#index.producerOf(result)!;
    return last === node ? output : this.#copyOf(last, [output, ...last.inputs.slice(1)]);
  }

  #copyOf(node: Node, inputs: string[]): string {
    const output = this.#builder.value(`${node.outputs[0]}_tried`);
    this.#builder.nodes.push({ ...node, name: output, inputs, outputs: [output] });
    return output;
  }

  #quantized(name: string, { scale, zeroPoint, maxCode }: ValueRange): string {
    const parameters = [
      this.#builder.shared('scale', scalarFloat(scale)),
      this.#builder.shared('zero_point', scalarUint8(zeroPoint)),
    ];
    let codes = this.#builder.add('QuantizeLinear', [name, ...parameters], `${name}_codes`);
    if (maxCode !== 255) {
      const highest = this.#builder.shared('max_code', scalarUint8(maxCode));
      codes = this.#builder.add('Clip', [codes, '', highest], `${name}_clipped`);
    }
    return this.#builder.add('DequantizeLinear', [codes, ...parameters], `${name}_read`);
  }

  #signalOf(result: string): string {
    const known = this.#signals.get(result);
    if (known !== undefined) return known;
    const signal = this.#power(result);
    this.#signals.set(result, signal);
    return signal;
  }

  #power(name: string): string {
    return this.#builder.add('ReduceSumSquare', [name], `${name}_power`, { keepdims: intValue(0) });
  }
}
