/**
 * One step of training as one graph, but for the update:
 *
 *   P ─▶ Split ─▶ weights and biases ─┐
 *   batch ───────────────────────────▶ forward ─▶ loss ─▶ backward ─▶ Concat ─▶ G
 *   targets ──────────────────────────────────────┘
 *
 * Parameters go in and gradients come out as one vector each. Normalizations in training mode are written with plain operators
 * once their gradients are known.
 */
import { differentiate, knownShapes } from '../autodiff/gradients.js';
import { withNativeLayers } from '../autodiff/native/native-layers.js';
import { ShapedBuilder } from '../autodiff/shaped-builder.js';
import { intValue, type Model, NameAllocator, tensorFromInt64, type ValueInfo } from '../ir/index.js';
import { makeNode } from '../passes/edit-graph.js';
import { lowerTrainingMode } from './batch-statistics.js';
import { type Parameter, parametersOf, withParameterInput } from './parameter-vector.js';
import { type PartGraph, partGraph } from './part-graph.js';

export type { Parameter } from './parameter-vector.js';

export interface TrainingGraph {
  /** Inputs: those of the network, the targets, and {@link parameterInput}. Outputs: {@link lossOutput}, {@link gradientOutput}. */
  readonly model: Model;
  readonly parameters: readonly Parameter[];
  readonly parameterInput: string;
  readonly lossOutput: string;
  readonly gradientOutput: string;
}

/** A network and a loss behind it. */
export interface LossOptions {
  /** Inputs of the loss that the network lacks. */
  readonly targets: readonly ValueInfo[];
  /** Adds the loss and returns it; rank 0. */
  readonly addLoss: (builder: ShapedBuilder) => string;
  /** Sizes of the symbolic dimensions, the batch among them. */
  readonly symbols: ReadonlyMap<string, number>;
  /** Whether to use operators that `acceleratedRuntime()` alone has; standard ones when left out. */
  readonly native?: boolean;
}

export interface TrainingGraphOptions extends LossOptions {
  /** Initializers to train, in the order of the vector. */
  readonly parameters: readonly string[];
  /** Values that count as constants in the gradients. */
  readonly held?: ReadonlySet<string> | undefined;
}

/** The loss alone, as a function of the batch and of parameters that are the first ones of a vector. */
export function buildLossGraph(
  network: Model,
  { parameters, ...options }: LossOptions & { readonly parameters: readonly Parameter[] },
): PartGraph {
  const { forward, loss } = withLoss(network, options);
  return partGraph(forward, loss, parameters);
}

/** @throws TritforgeError MODEL_NOT_DIFFERENTIABLE */
export async function buildTrainingGraph(network: Model, options: TrainingGraphOptions): Promise<TrainingGraph> {
  const { forward, loss } = withLoss(network, options);
  const { parameters: wrt, symbols, held } = options;
  const differentiated = await differentiate(forward, { loss, wrt, symbols, held });
  const lowered = lowerTrainingMode(differentiated.model, new Map(differentiated.shapes));
  const parameters = parametersOf(network, wrt);
  const { model, input: parameterInput } = withParameterInput(lowered.model, parameters);
  const gradients = wrt.map((name) => differentiated.gradients.get(name)!);
  const { model: packed, output: gradientOutput } = withOneVector(model, gradients);
  const length = parameters.reduce((sum, parameter) => sum + parameter.length, 0);
  const outputs = [
    { name: loss, dtype: 'float32' as const, shape: null },
    { name: gradientOutput, dtype: 'float32' as const, shape: [length] },
  ];
  return {
    model: { ...packed, graph: { ...packed.graph, outputs } },
    parameters,
    parameterInput,
    lossOutput: loss,
    gradientOutput,
  };
}

function withLoss(
  original: Model,
  { targets, addLoss, symbols, native }: LossOptions,
): { forward: Model; loss: string } {
  const network = native ? withNativeLayers(original, symbols) : original;
  const graph = { ...network.graph, inputs: [...network.graph.inputs, ...targets] };
  const model = { ...network, graph };
  const builder = new ShapedBuilder(model, knownShapes(model, symbols));
  const loss = addLoss(builder);
  const nodes = [...graph.nodes, ...builder.nodes];
  return { forward: { ...model, graph: { ...graph, nodes, initializers: new Map(builder.initializers) } }, loss };
}

/** The model with the values, flat and one after the other, as a further one. */
function withOneVector(model: Model, values: readonly string[]): { model: Model; output: string } {
  const names = new NameAllocator(model);
  const [output, whole] = [names.value('G'), names.value('flat')];
  const pieces = values.map((name) => names.value(`${name}_flat`));
  const nodes = [
    ...model.graph.nodes,
    ...values.map((name, i) => makeNode(names.node(pieces[i]!), 'Reshape', [name, whole], [pieces[i]!])),
    makeNode(names.node(output), 'Concat', pieces, [output], { axis: intValue(0) }),
  ];
  const initializers = new Map(model.graph.initializers).set(whole, tensorFromInt64([1], [-1]));
  return { model: { ...model, graph: { ...model.graph, nodes, initializers } }, output };
}
