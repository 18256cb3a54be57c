import type { ModelSummary } from '@tritforge/contracts';
import {
  bitsOf,
  elementCount,
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
import { type ModelLimits, readModel, validateModel } from './onnx/index.js';

/** A layer with constant weights that a recipe can quantize. */
export interface LayerSummary {
  readonly node: string;
  readonly op: 'Conv' | 'Gemm' | 'MatMul';
  /** Name of the weight: of the initializer, or of the output of the Constant node. */
  readonly weight: string;
  readonly shape: readonly number[];
  readonly parameters: number;
  /** A grouped convolution with one input channel per group. */
  readonly depthwise: boolean;
  readonly groups: number;
  /** Whether the layer lies in a branch or loop body, and not in the main graph. */
  readonly inSubgraph: boolean;
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
  const layers = layersOf(model);
  const shapes = inferShapes(model);
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

/** Conv, Gemm and MatMul nodes with constant float weights, subgraphs included, in graph order. */
export function layersOf(model: Model): LayerSummary[] {
  const indices = new Map<Scope, GraphIndex>();
  const layers: LayerSummary[] = [];
  walkGraphs(model, (scope) => {
    if (scope.graph === null || scope.function !== null) return;
    indices.set(scope, new GraphIndex(scope.graph));
    for (const node of scope.nodes) {
      const weight = isLayer(node) ? constantOf(node.inputs[1] ?? '', scope, indices) : undefined;
      if (weight === undefined || !isFloat(weight.tensor.dtype) || weight.tensor.shape.length < 2) continue;
      layers.push(describeLayer(node, weight, scope.parent !== null));
    }
  });
  return layers;
}

function isLayer(node: Node): boolean {
  return node.domain === '' && (node.opType === 'Conv' || node.opType === 'Gemm' || node.opType === 'MatMul');
}

function describeLayer(
  node: Node,
  { name, tensor }: { name: string; tensor: Tensor },
  inSubgraph: boolean,
): LayerSummary {
  const groups = node.opType === 'Conv' ? intAttribute(node, 'group', 1) : 1;
  return {
    node: node.name,
    op: node.opType as LayerSummary['op'],
    weight: name,
    shape: tensor.shape,
    parameters: elementCount(tensor.shape),
    depthwise: groups > 1 && tensor.shape[1] === 1,
    groups,
    inSubgraph,
  };
}

/** The constant behind a name as the scope sees it, in enclosing graphs too. */
function constantOf(name: string, scope: Scope, indices: ReadonlyMap<Scope, GraphIndex>) {
  for (let at: Scope | null = scope; at !== null; at = at.parent) {
    const constant = indices.get(at)?.constantOf(name);
    if (constant !== undefined) return constant;
  }
  return undefined;
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
