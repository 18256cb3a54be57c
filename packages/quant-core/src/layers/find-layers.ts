import type { WeightLayout } from '../fgq/index.js';
import {
  floatAttribute,
  type Model,
  type Node,
  type Scope,
  type Tensor,
  tensorByteLength,
  walkGraphs,
} from '../ir/index.js';
import { outputChannelAxis } from '../passes/output-channels.js';
import type { KeptNode, Layer } from './layer.js';

/** Float constants below this size are not worth a line in the list of kept nodes. */
const SMALLEST_LISTED_BYTES = 1024;

/** The layers of a model in graph order, and the other nodes that hold weights. */
export interface FoundLayers {
  readonly layers: readonly Layer[];
  readonly kept: readonly KeptNode[];
}

/** Finds every layer that can be quantized, subgraphs included; function bodies are left alone. */
export function findLayers(model: Model): FoundLayers {
  const layers: Layer[] = [];
  const kept: KeptNode[] = [];
  const users = weightUsers(model);
  walkGraphs(model, (scope) => {
    if (scope.graph === null || scope.function !== null) return;
    for (const node of scope.nodes) {
      const found = examine(node, scope, users);
      if (found !== null && 'reason' in found) kept.push(found);
      else if (found !== null) layers.push(found);
    }
  });
  return { layers, kept };
}

function examine(node: Node, scope: Scope, users: ReadonlyMap<Tensor, readonly Use[]>): Layer | KeptNode | null {
  const keep = (reason: string): KeptNode => ({ node: node.name, op: node.opType, reason });
  const constants = node.inputs.map((name) => resolveConstant(name, scope));
  const shape = describe(node, constants);
  if (typeof shape === 'string') return keep(shape);
  if (shape === null)
    return constants.some((tensor) => tensor && isLargeFloat(tensor)) ? keep(reasonToKeep(node)) : null;
  const weight = constants[shape.weightPosition]!;
  if (weight.dtype !== 'float32') return keep(`the weight is ${weight.dtype}, not float32`);
  const foreign = (users.get(weight) ?? []).find((use) => !isSameUse(use, node, shape.weightPosition));
  if (foreign !== undefined) return keep(`the weight also feeds ${foreign.node.opType} ${foreign.node.name}`);
  const inMainGraph = scope.parent === null;
  return {
    node,
    graph: scope.graph!,
    inMainGraph,
    weightName: node.inputs[shape.weightPosition]!,
    weight,
    ...shape,
    ...biasOf(node, shape.layout, inMainGraph, constants),
  };
}

/** Operators that look up or rearrange constants; they multiply nothing. */
const LOOKUPS: ReadonlySet<string> = new Set([
  'Concat',
  'Expand',
  'Gather',
  'GatherElements',
  'GatherND',
  'Reshape',
  'Slice',
  'Split',
  'Transpose',
  'Unsqueeze',
]);

function reasonToKeep(node: Node): string {
  if (LOOKUPS.has(node.opType)) return `${node.opType} takes elements out of a table and multiplies nothing`;
  return `${node.opType} has no integer form`;
}

interface WeightShape {
  readonly weightPosition: 0 | 1;
  readonly layout: WeightLayout;
  readonly transposed: boolean;
  readonly depthwise: boolean;
}

/** How the node uses its weight; a reason when it cannot be quantized; null when the node is no layer. */
function describe(node: Node, constants: readonly (Tensor | null)[]): WeightShape | string | null {
  if (node.domain !== '') return null;
  if (node.opType === 'Conv') return describeConv(constants[1]);
  if (node.opType === 'Gemm') return describeMatrix(constants[1], 1, outputChannelAxis(node) === 1, 'Gemm');
  if (node.opType !== 'MatMul') return null;
  if (constants[1]) return describeMatrix(constants[1], 1, true, 'MatMul');
  if (constants[0]) return describeMatrix(constants[0], 0, false, 'MatMul');
  return null;
}

function describeConv(constant: Tensor | null | undefined): WeightShape | string {
  if (!constant) return 'the weight is computed when the model runs';
  const [outputChannels = 0, inputChannels = 0, ...kernel] = constant.shape;
  const taps = kernel.reduce((product, size) => product * size, 1);
  if (kernel.length === 0 || outputChannels * inputChannels * taps === 0) return 'the weight has no elements';
  return {
    weightPosition: 1,
    layout: { outputChannels, inputChannels, taps },
    transposed: false,
    depthwise: inputChannels === 1 && outputChannels > 1,
  };
}

function describeMatrix(
  constant: Tensor | null | undefined,
  weightPosition: 0 | 1,
  transposed: boolean,
  op: string,
): WeightShape | string | null {
  if (!constant) return op === 'Gemm' ? 'the weight is computed when the model runs' : null;
  const { shape } = constant;
  if (shape.length !== 2) return shape.length < 2 ? null : `the weight has ${shape.length} dimensions, not 2`;
  const [outputChannels, inputChannels] = transposed ? [shape[1]!, shape[0]!] : [shape[0]!, shape[1]!];
  if (outputChannels * inputChannels === 0) return 'the weight has no elements';
  return { weightPosition, layout: { outputChannels, inputChannels, taps: 1 }, transposed, depthwise: false };
}

function biasOf(
  node: Node,
  layout: WeightLayout,
  inMainGraph: boolean,
  constants: readonly (Tensor | null)[],
): Pick<Layer, 'bias' | 'floatInputReason'> {
  if (!inMainGraph) return { bias: null, floatInputReason: 'values inside control flow cannot be observed' };
  if (constants[0] && constants[1]) return { bias: null, floatInputReason: 'the input is a constant' };
  if (node.opType === 'MatMul') {
    return {
      bias: null,
      floatInputReason: constants[1]
        ? null
        : 'the weight is the left operand, which integer kernels take with one scale only',
    };
  }
  if (node.opType === 'Gemm' && (floatAttribute(node, 'alpha', 1) !== 1 || floatAttribute(node, 'beta', 1) !== 1)) {
    return { bias: null, floatInputReason: 'the bias is scaled' };
  }
  const name = node.inputs[2] ?? '';
  if (name === '') return { bias: null, floatInputReason: null };
  const bias = constants[2];
  const fits = bias?.dtype === 'float32' && bias.shape.length === 1 && bias.shape[0] === layout.outputChannels;
  return fits
    ? { bias, floatInputReason: null }
    : { bias: null, floatInputReason: 'the bias is not one constant per output channel' };
}

function isLargeFloat(tensor: Tensor): boolean {
  const isFloat = tensor.dtype === 'float32' || tensor.dtype === 'float16' || tensor.dtype === 'bfloat16';
  // A scale or a shift per channel is a vector, however many dimensions of size 1 make it broadcast.
  const isMatrix = tensor.shape.filter((size) => size > 1).length >= 2;
  return isFloat && isMatrix && tensorByteLength(tensor) >= SMALLEST_LISTED_BYTES;
}

interface Use {
  readonly node: Node;
  readonly position: number;
}

/** Whether two nodes read the weight in the same way, so that one quantized tensor serves both. */
function isSameUse(use: Use, node: Node, position: number): boolean {
  return (
    use.node.opType === node.opType &&
    use.position === position &&
    outputChannelAxis(use.node) === outputChannelAxis(node)
  );
}

/** Who reads each constant. A tensor object stands for one initializer. */
function weightUsers(model: Model): Map<Tensor, Use[]> {
  const users = new Map<Tensor, Use[]>();
  walkGraphs(model, (scope) => {
    const add = (name: string, use: Use) => {
      const tensor = resolveConstant(name, scope);
      if (tensor !== null) users.set(tensor, [...(users.get(tensor) ?? []), use]);
    };
    for (const node of scope.nodes) {
      for (const [position, name] of node.inputs.entries()) add(name, { node, position });
    }
    for (const { name } of scope.graph?.outputs ?? []) {
      add(name, {
        node: { name, opType: 'output', domain: '', inputs: [], outputs: [], attributes: new Map() },
        position: 0,
      });
    }
  });
  return users;
}

/** The initializer behind a name, looked up through the enclosing graphs. ONNX does not let inner names hide outer ones. */
function resolveConstant(name: string, scope: Scope): Tensor | null {
  for (let at: Scope | null = scope; at !== null && name !== ''; at = at.parent) {
    const tensor = at.graph?.initializers.get(name);
    if (tensor !== undefined) return tensor;
  }
  return null;
}
