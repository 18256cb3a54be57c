import type { ModelSummary } from '@tritforge/contracts';
import {
  bitsOf,
  type DataType,
  elementCount,
  type Graph,
  GraphIndex,
  type InferredShapes,
  inferShapes,
  intAttribute,
  isFloat,
  type Model,
  macsOf,
  type Node,
  type Scope,
  type Tensor,
  type ValueInfo,
  walkGraphs,
} from './ir/index.js';
import { reasonToKeepTable } from './layers/tables.js';
import { type ModelLimits, readModel, validateModel } from './onnx/index.js';
import { constantNodes } from './passes/fold-constants.js';

/** A layer with constant weights that a recipe can quantize. */
export interface LayerSummary {
  readonly node: string;
  readonly op: 'Conv' | 'Gather' | 'Gemm' | 'MatMul';
  /** Name of the weight: of the initializer, or of what the node computes from constants. */
  readonly weight: string;
  readonly shape: readonly number[];
  readonly parameters: number;
  /** A grouped convolution with one input channel per group. */
  readonly depthwise: boolean;
  readonly groups: number;
  /** Whether the layer lies in a branch or loop body, and not in the main graph. */
  readonly inSubgraph: boolean;
}

/** A constant that a layer takes as its weight. */
interface Weight {
  readonly name: string;
  readonly dtype: DataType;
  readonly shape: readonly number[];
}

/** What is known of a model from its file alone, with its layers. */
export type ModelInspection = ModelSummary & { readonly layers: readonly LayerSummary[] };

/**
 * Reads, validates and summarises a model file without running it.
 * @throws TritforgeError every MODEL_* code of {@link readModel} and {@link validateModel}
 * @example (await inspectModel('resnet20.onnx')).quantizableLayers // 20
 */
export async function inspectModel(path: string, limits: Partial<ModelLimits> = {}): Promise<ModelInspection> {
  const model = await readModel(path, { limits });
  await validateModel(model, limits);
  return summarizeModel(model);
}

/** Summarises a model that has been read. */
export function summarizeModel(model: Model): ModelInspection {
  const shapes = inferShapes(model);
  const layers = layersOf(model, shapes);
  const { graph } = model;
  return {
    irVersion: model.irVersion,
    opset: model.opsetImports.get('') ?? 0,
    producer: model.producer,
    macs: macsOf(model),
    inputs: graph.inputs.filter((input) => !graph.initializers.has(input.name)).map(describe),
    outputs: graph.outputs.map((output) => describe(completed(output, shapes))),
    quantizableLayers: layers.length,
    ...countParts(model),
    layers,
  };
}

/** Conv, Gemm, MatMul and Gather nodes with constant float weights, subgraphs included, in graph order. */
function layersOf(model: Model, shapes: InferredShapes): LayerSummary[] {
  const computed = computedConstants(model.graph, shapes);
  const indices = new Map<Scope, GraphIndex>();
  const layers: LayerSummary[] = [];
  walkGraphs(model, (scope) => {
    if (scope.graph === null || scope.function !== null) return;
    indices.set(scope, new GraphIndex(scope.graph));
    const weightOf = (name: string) =>
      constantOf(name, scope, indices) ?? (scope.parent === null ? computed.get(name) : undefined);
    for (const node of scope.nodes) {
      const weight = node.domain === '' ? layerWeight(node, weightOf, scope) : undefined;
      if (weight !== undefined) layers.push(describeLayer(node, weight, scope.parent !== null));
    }
  });
  return layers;
}

/** The weight of a node of the standard domain, if it is a layer. */
function layerWeight(node: Node, weightOf: (name: string) => Weight | undefined, { nodes }: Scope): Weight | undefined {
  const [first = '', second = ''] = node.inputs;
  if (node.opType === 'Gather') {
    const table = weightOf(first);
    if (table?.dtype !== 'float32' || weightOf(second) !== undefined) return undefined;
    return reasonToKeepTable(node, table, nodes) === null ? table : undefined;
  }
  if (node.opType !== 'Conv' && node.opType !== 'Gemm' && node.opType !== 'MatMul') return undefined;
  const weight = weightOf(second) ?? (node.opType === 'MatMul' ? weightOf(first) : undefined);
  return weight !== undefined && isFloat(weight.dtype) && weight.shape.length >= 2 ? weight : undefined;
}

function describeLayer(node: Node, { name, shape }: Weight, inSubgraph: boolean): LayerSummary {
  const groups = node.opType === 'Conv' ? intAttribute(node, 'group', 1) : 1;
  return {
    node: node.name,
    op: node.opType as LayerSummary['op'],
    weight: name,
    shape,
    parameters: elementCount(shape),
    depthwise: groups > 1 && shape[1] === 1,
    groups,
    inSubgraph,
  };
}

/** The constant behind a name as the scope sees it, in enclosing graphs too. */
function constantOf(name: string, scope: Scope, indices: ReadonlyMap<Scope, GraphIndex>): Weight | undefined {
  for (let at: Scope | null = scope; at !== null; at = at.parent) {
    const constant = indices.get(at)?.constantOf(name);
    if (constant !== undefined) return { name: constant.name, ...constant.tensor };
  }
  return undefined;
}

/** What nodes of the main graph compute from constants alone, which quantization folds, as far as its shape is known. */
function computedConstants(graph: Graph, shapes: InferredShapes): Map<string, Weight> {
  const constants = new Map<string, Weight>();
  // Initializers that are inputs too are defaults; quantization makes them constants.
  const inputs = graph.inputs.filter(({ name }) => !graph.initializers.has(name));
  for (const name of constantNodes({ ...graph, inputs }).flatMap((node) => node.outputs)) {
    const value = shapes.get(name);
    const shape = value?.shape;
    if (value && shape?.every((size) => typeof size === 'number')) constants.set(name, { ...value, shape });
  }
  return constants;
}

function countParts(model: Model): Pick<ModelSummary, 'nodes' | 'parameters' | 'operators'> {
  const operators = new Map<string, number>();
  let nodes = 0;
  let parameters = 0;
  const count = (tensor: Tensor) => {
    // Shapes and indices are integers of 16 bits and more; what is learned is a float or quantized.
    const learned = isFloat(tensor.dtype) || (bitsOf(tensor.dtype) <= 8 && tensor.dtype !== 'bool');
    if (learned && tensor.strings === undefined) parameters += elementCount(tensor.shape);
  };
  walkGraphs(model, (scope) => {
    for (const tensor of scope.graph?.initializers.values() ?? []) count(tensor);
    for (const node of scope.nodes) {
      nodes++;
      const operator = node.domain === '' ? node.opType : `${node.domain}.${node.opType}`;
      operators.set(operator, (operators.get(operator) ?? 0) + 1);
      for (const attribute of node.attributes.values()) if (attribute.kind === 'tensor') count(attribute.value);
    }
  });
  return { nodes, parameters, operators: Object.fromEntries(operators) };
}

/** The declared type with what inference adds. */
function completed(output: ValueInfo, shapes: InferredShapes): ValueInfo {
  const known = shapes.get(output.name);
  return known === undefined ? output : { ...output, dtype: known.dtype, shape: known.shape };
}

function describe({ name, dtype, shape }: ValueInfo): ModelSummary['inputs'][number] {
  return { name, dtype, shape: shape && [...shape] };
}
