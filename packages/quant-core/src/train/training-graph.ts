/**
 * One step of training as one graph, but for the update:
 *
 *   P ─▶ Split ─▶ weights and biases ─┐
 *   batch ───────────────────────────▶ forward ─▶ loss ─▶ backward ─▶ Concat ─▶ G
 *   targets ──────────────────────────────────────┘
 *
 * Parameters go in and gradients come out as one vector each: hundreds of small inputs cost more than the copies.
 */
import { differentiate, knownShapes } from '../autodiff/gradients.js';
import { type Shape, ShapedBuilder } from '../autodiff/shaped-builder.js';
import {
  elementCount,
  intValue,
  type Model,
  NameAllocator,
  type Node,
  tensorFromInt64,
  type ValueInfo,
} from '../ir/index.js';
import { makeNode } from '../passes/edit-graph.js';

/** Where a tensor is in the vector of parameters. */
export interface Parameter {
  /** Of the initializer that it takes the place of. */
  readonly name: string;
  readonly shape: Shape;
  readonly offset: number;
  readonly length: number;
}

export interface TrainingGraph {
  /** Inputs: those of the network, the targets, and {@link parameterInput}. Outputs: {@link lossOutput}, {@link gradientOutput}. */
  readonly model: Model;
  readonly parameters: readonly Parameter[];
  readonly parameterInput: string;
  readonly lossOutput: string;
  readonly gradientOutput: string;
}

export interface TrainingGraphOptions {
  /** Initializers to train, in the order of the vector. */
  readonly parameters: readonly string[];
  /** Inputs of the loss that the network lacks. */
  readonly targets: readonly ValueInfo[];
  /** Adds the loss and returns it; rank 0. */
  readonly addLoss: (builder: ShapedBuilder) => string;
  /** Sizes of the symbolic dimensions, the batch among them. */
  readonly symbols: ReadonlyMap<string, number>;
}

/** @throws TritforgeError MODEL_NOT_DIFFERENTIABLE */
export async function buildTrainingGraph(network: Model, options: TrainingGraphOptions): Promise<TrainingGraph> {
  const { forward, loss } = withLoss(network, options);
  const { model, gradients } = await differentiate(forward, {
    loss,
    wrt: options.parameters,
    symbols: options.symbols,
  });
  const parameters = parametersOf(network, options.parameters);
  const names = new NameAllocator(model);
  const [parameterInput, gradientOutput] = [names.value('P'), names.value('G')];
  const packed = packing(names, model, { parameters, gradients, parameterInput, gradientOutput });
  const trained = new Set(options.parameters);
  const graph = {
    ...model.graph,
    nodes: [...packed.split, ...model.graph.nodes, ...packed.concat],
    inputs: [
      ...model.graph.inputs.filter(({ name }) => !model.graph.initializers.has(name)),
      { name: parameterInput, dtype: 'float32' as const, shape: [total(parameters)] },
    ],
    outputs: [loss, gradientOutput].map((name) => ({ name, dtype: 'float32' as const, shape: null })),
    initializers: new Map([...packed.constants].filter(([name]) => !trained.has(name))),
  };
  return { model: { ...model, graph }, parameters, parameterInput, lossOutput: loss, gradientOutput };
}

function withLoss(
  network: Model,
  { targets, addLoss, symbols }: TrainingGraphOptions,
): { forward: Model; loss: string } {
  const graph = { ...network.graph, inputs: [...network.graph.inputs, ...targets] };
  const model = { ...network, graph };
  const builder = new ShapedBuilder(model, knownShapes(model, symbols));
  const loss = addLoss(builder);
  const nodes = [...graph.nodes, ...builder.nodes];
  return { forward: { ...model, graph: { ...graph, nodes, initializers: new Map(builder.initializers) } }, loss };
}

function parametersOf({ graph }: Model, names: readonly string[]): Parameter[] {
  let offset = 0;
  return names.map((name) => {
    const { shape } = graph.initializers.get(name)!;
    const parameter = { name, shape, offset, length: elementCount(shape) };
    offset += parameter.length;
    return parameter;
  });
}

interface Packed {
  readonly parameters: readonly Parameter[];
  readonly gradients: ReadonlyMap<string, string>;
  readonly parameterInput: string;
  readonly gradientOutput: string;
}

/** The nodes that take the vector apart, and those that put the gradients together. */
function packing(
  names: NameAllocator,
  model: Model,
  { parameters, gradients, parameterInput, gradientOutput }: Packed,
) {
  const constants = new Map(model.graph.initializers);
  const ints = (base: string, values: readonly number[]) => {
    const name = names.value(base);
    constants.set(name, tensorFromInt64([values.length], values));
    return name;
  };
  const node = (opType: string, inputs: string[], outputs: string[], attributes = {}): Node =>
    makeNode(names.node(outputs[0]!), opType, inputs, outputs, attributes);
  const axis = { axis: intValue(0) };
  const flat = parameters.map(({ name }) => names.value(`${name}_flat`));
  const lengths = ints(
    'lengths',
    parameters.map(({ length }) => length),
  );
  const split = [
    node('Split', [parameterInput, lengths], flat, axis),
    ...parameters.map(({ name, shape }, i) => node('Reshape', [flat[i]!, ints('shape', shape)], [name])),
  ];
  const pieces = parameters.map(({ name }) => names.value(`${name}_gradient_flat`));
  const whole = ints('flat', [-1]);
  const concat = [
    ...parameters.map(({ name }, i) => node('Reshape', [gradients.get(name)!, whole], [pieces[i]!])),
    node('Concat', pieces, [gradientOutput], axis),
  ];
  return { split, concat, constants };
}

function total(parameters: readonly Parameter[]): number {
  return parameters.reduce((sum, { length }) => sum + length, 0);
}
