/**
 * START HERE: reverse-mode differentiation of a graph, written as a graph of the same standard operators.
 *
 *   v̄ = ∂loss/∂v        for a node y = f(x₁ … xₙ):  x̄ᵢ += (∂y/∂xᵢ)ᵀ ȳ, nodes from last to first
 *
 * The rules (rules/index.ts) know one operator each; here is the calculus: which values the loss depends on by way of what
 * is wanted, the order, and the sum where a value is used several times.
 */
import { TritforgeError } from '@tritforge/contracts';
import { inferShapes, type Model, type Node } from '../ir/index.js';
import { addInto, NATIVE_RULES } from './native/native-rules.js';
import { type GradientRule, type RuleInput, UnsupportedGradient } from './rule.js';
import { GRADIENT_RULES } from './rules/index.js';
import { NATIVE_DOMAIN, type Shape, ShapedBuilder } from './shaped-builder.js';

export interface GradientOptions {
  /** A value of the main graph with one element. */
  readonly loss: string;
  /** Inputs and initializers, float32. */
  readonly wrt: readonly string[];
  /** Sizes of symbolic dimensions of the graph inputs. */
  readonly symbols?: ReadonlyMap<string, number>;
  /** Values that count as constants, whatever they are computed from. */
  readonly held?: ReadonlySet<string> | undefined;
}

/** A model that also computes gradients. */
export interface Differentiated {
  /** Nodes and tensors of the given model are shared with it, its outputs are those of the given model. */
  readonly model: Model;
  /** By name of what the loss is differentiated by: the value with the gradient, in its shape. */
  readonly gradients: ReadonlyMap<string, string>;
  /** Of all values of the main graph. */
  readonly shapes: ReadonlyMap<string, Shape>;
}

/**
 * Adds the backward graph.
 * @throws TritforgeError MODEL_NOT_DIFFERENTIABLE for an operator without a rule between the loss and what is wanted
 *
 * @example
 * const { model, gradients } = await differentiate(forward, { loss: 'loss', wrt: ['conv1.weight'], symbols: new Map([['N', 64]]) });
 */
export async function differentiate(model: Model, options: GradientOptions): Promise<Differentiated> {
  const shapes = knownShapes(model, options.symbols);
  const builder = new ShapedBuilder(model, shapes);
  const one = builder.expand(builder.scalar(1), builder.shapeOf(options.loss));
  const { loss, wrt, held } = options;
  const gradients = await backpropagate(model, builder, new Map([[loss, one]]), wrt, held);
  const graph = {
    ...model.graph,
    nodes: [...model.graph.nodes, ...builder.nodes],
    initializers: new Map(builder.initializers),
  };
  return { model: { ...model, graph }, gradients, shapes };
}

/**
 * Adds the nodes that multiply given gradients of values by the Jacobian of the graph before them.
 * @param cotangents by value the value that is its gradient, in its shape
 * @returns by name of what is differentiated by, its gradient
 */
export function backpropagate(
  model: Model,
  builder: ShapedBuilder,
  cotangents: ReadonlyMap<string, string>,
  wrt: readonly string[],
  held: ReadonlySet<string> = new Set(),
): Promise<Map<string, string>> {
  return new Backward(model, builder, cotangents, wrt, held).run();
}

/** By domain and operator. */
const RULES: ReadonlyMap<string, Readonly<Record<string, GradientRule>>> = new Map([
  ['', GRADIENT_RULES],
  [NATIVE_DOMAIN, NATIVE_RULES],
]);

class Backward {
  readonly #model: Model;
  readonly #b: ShapedBuilder;
  readonly #wrt: readonly string[];
  /** Values that depend on what is wanted. */
  readonly #active: ReadonlySet<string>;
  /** Gradients of values, from as many uses as were seen. */
  readonly #gradients: Map<string, string>;

  constructor(
    model: Model,
    builder: ShapedBuilder,
    cotangents: ReadonlyMap<string, string>,
    wrt: readonly string[],
    held: ReadonlySet<string>,
  ) {
    this.#model = model;
    this.#b = builder;
    this.#wrt = wrt;
    this.#active = dependentValues(model.graph.nodes, wrt, held);
    this.#gradients = new Map(cotangents);
  }

  async run(): Promise<Map<string, string>> {
    for (const node of this.#model.graph.nodes.toReversed()) await this.#differentiate(node);
    return new Map(this.#wrt.map((name) => [name, this.#gradients.get(name) ?? this.#zeros(name)]));
  }

  async #differentiate(node: Node): Promise<void> {
    const isReached = node.outputs.some((output) => this.#gradients.has(output));
    const isWanted = node.inputs.some((input) => this.#active.has(input));
    if (!isReached || !isWanted) return;
    const gradients = await this.#applyRule(node);
    for (const [i, gradient] of gradients.entries()) {
      const input = node.inputs[i] ?? '';
      if (gradient !== null && this.#active.has(input)) this.#accumulate(input, gradient);
    }
  }

  async #applyRule(node: Node): Promise<readonly (string | null)[]> {
    const opset = this.#model.opsetImports.get(node.domain) ?? 0;
    const rule = RULES.get(node.domain)?.[node.opType];
    if (rule === undefined) throw unsupported(node, opset, 'there is no gradient rule for it');
    try {
      return await rule(this.#inputOf(node, opset));
    } catch (error) {
      if (error instanceof UnsupportedGradient) throw unsupported(node, opset, error.message, error);
      throw error;
    }
  }

  #inputOf(node: Node, opset: number): RuleInput {
    const gradientOf = (output: number) => this.#gradients.get(node.outputs[output] ?? '') ?? null;
    return {
      node,
      opset,
      b: this.#b,
      get dy() {
        const dy = gradientOf(0);
        if (dy === null) throw new UnsupportedGradient('the loss depends on another output than the first');
        return dy;
      },
      gradientOf,
      wants: (input) => this.#active.has(node.inputs[input] ?? ''),
      shapeOf: (input) => this.#b.shapeOf(node.inputs[input]!),
      constantOf: (input) => this.#model.graph.initializers.get(node.inputs[input] ?? '') ?? null,
    };
  }

  #accumulate(value: string, gradient: string): void {
    const known = this.#gradients.get(value);
    this.#gradients.set(value, known === undefined ? gradient : addInto(this.#b, known, gradient));
  }

  /** The loss does not depend on the value. */
  #zeros(name: string): string {
    return this.#b.expand(this.#b.scalar(0), this.#b.shapeOf(name));
  }
}

/** Values that are computed from the given ones, these included, by no way through those that are held. */
function dependentValues(nodes: readonly Node[], from: readonly string[], held: ReadonlySet<string>): Set<string> {
  const dependent = new Set(from);
  for (const { inputs, outputs } of nodes)
    if (inputs.some((input) => dependent.has(input)))
      for (const output of outputs) if (output !== '' && !held.has(output)) dependent.add(output);
  return dependent;
}

/** Shapes of the values of the main graph whose sizes are all known. */
export function knownShapes(model: Model, symbols?: ReadonlyMap<string, number>): Map<string, Shape> {
  const inferred = inferShapes(model, symbols === undefined ? {} : { symbols });
  const { graph } = model;
  const names = [...graph.inputs.map(({ name }) => name), ...graph.nodes.flatMap(({ outputs }) => outputs)];
  const shapes = new Map<string, Shape>([...graph.initializers].map(([name, { shape }]) => [name, shape]));
  for (const name of names) {
    const shape = inferred.get(name, graph)?.shape;
    if (shape?.every((size) => typeof size === 'number')) shapes.set(name, shape as Shape);
  }
  return shapes;
}

function unsupported(node: Node, opset: number, why: string, cause?: Error): TritforgeError {
  const op = node.domain === '' ? node.opType : `${node.domain}:${node.opType}`;
  return new TritforgeError(
    'MODEL_NOT_DIFFERENTIABLE',
    `The operator ${op} (opset ${opset}) of node ${node.name} cannot be differentiated: ${why}`,
    { field: 'model', ...(cause && { cause }) },
  );
}
