import {
  floatAttribute,
  GraphIndex,
  intsAttribute,
  type Model,
  type Node,
  type Scope,
  type Tensor,
  tensorByteLength,
  walkGraphs,
} from '../ir/index.js';
import { outputChannelAxis } from '../passes/output-channels.js';
import type { KeptNode, Layer } from './layer.js';
import { reasonToKeepTable } from './tables.js';

/** Float constants below this size are not worth a line in the list of kept nodes. */
const SMALLEST_LISTED_BYTES = 1024;

/** The layers of a model in graph order, and the other nodes that hold weights. */
export interface FoundLayers {
  readonly layers: readonly Layer[];
  readonly kept: readonly KeptNode[];
}

/** Finds every layer that can be quantized, subgraphs included; function bodies are left alone. */
export function findLayers(model: Model): FoundLayers {
  const uses = usesOfConstants(model);
  const users = new Map<Tensor, Use[]>();
  for (const use of uses) users.set(use.tensor, [...(users.get(use.tensor) ?? []), use]);
  const layers: Layer[] = [];
  const kept: KeptNode[] = [];
  walkGraphs(model, (scope) => {
    if (scope.graph === null || scope.function !== null) return;
    const index = new GraphIndex(scope.graph);
    for (const node of scope.nodes) {
      const found = examine(node, { scope, index }, users);
      if (found !== null && 'reason' in found) kept.push(found);
      else if (found !== null) layers.push(found);
    }
  });
  return { layers, kept };
}

/** Where a node is. */
interface Place {
  readonly scope: Scope;
  readonly index: GraphIndex;
}

/** A constant as a node gets it. */
interface Constant {
  readonly name: string;
  readonly tensor: Tensor;
  /** Through a Transpose of the main graph. */
  readonly turned: boolean;
}

function examine(node: Node, place: Place, users: ReadonlyMap<Tensor, readonly Use[]>): Layer | KeptNode | null {
  const keep = (reason: string): KeptNode => ({ node: node.name, op: node.opType, reason });
  const constants = node.inputs.map((name) => constantBehind(name, place));
  const shape = describe(node, constants, place.scope);
  if (typeof shape === 'string') return keep(shape);
  if (shape === null) {
    const turns = (constant: Constant) => users.get(constant.tensor)?.some((use) => use.shape?.turned);
    const isOwn = (constant: Constant | null) =>
      constant &&
      !constant.turned &&
      isLargeFloat(constant.tensor) &&
      !(node.opType === 'Transpose' && turns(constant));
    return constants.some(isOwn) ? keep(reasonToKeep(node)) : null;
  }
  const { name, tensor: weight } = constants[shape.weightPosition]!;
  if (weight.dtype !== 'float32') return keep(`the weight is ${weight.dtype}, not float32`);
  const foreign = (users.get(weight) ?? []).find((use) => !isSameUse(use, shape));
  if (foreign !== undefined) return keep(`the weight also feeds ${foreign.node.opType} ${foreign.node.name}`);
  const inMainGraph = place.scope.parent === null;
  return {
    node,
    graph: place.scope.graph!,
    inMainGraph,
    weightName: name,
    weight,
    ...shape,
    ...biasOf(node, shape, inMainGraph, constants),
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

type WeightShape = Pick<Layer, 'weightPosition' | 'layout' | 'transposed' | 'turned' | 'depthwise' | 'isTable'>;

/** How the node uses its weight; a reason when it cannot be quantized; null when the node is no layer. */
function describe(node: Node, constants: readonly (Constant | null)[], scope: Scope): WeightShape | string | null {
  if (node.domain !== '') return null;
  if (node.opType === 'Conv') return describeConv(constants[1]);
  if (node.opType === 'Gemm') return describeMatrix(constants[1], 1, outputChannelAxis(node) === 1, 'Gemm');
  if (node.opType === 'Gather') return describeTable(node, constants, scope);
  if (node.opType !== 'MatMul') return null;
  if (constants[1]) return describeMatrix(constants[1], 1, true, 'MatMul');
  if (constants[0]) return describeMatrix(constants[0], 0, false, 'MatMul');
  return null;
}

function describeConv(constant: Constant | null | undefined): WeightShape | string {
  if (!constant || constant.turned) return 'the weight is computed when the model runs';
  const [outputChannels = 0, inputChannels = 0, ...kernel] = constant.tensor.shape;
  const taps = kernel.reduce((product, size) => product * size, 1);
  if (kernel.length === 0 || outputChannels * inputChannels * taps === 0) return 'the weight has no elements';
  return {
    weightPosition: 1,
    layout: { outputChannels, inputChannels, taps },
    transposed: false,
    turned: false,
    depthwise: inputChannels === 1 && outputChannels > 1,
    isTable: false,
  };
}

/** @param takesColumns whether the operator takes [IC, OC] */
function describeMatrix(
  constant: Constant | null | undefined,
  weightPosition: 0 | 1,
  takesColumns: boolean,
  op: string,
): WeightShape | string | null {
  if (!constant) return op === 'Gemm' ? 'the weight is computed when the model runs' : null;
  const { tensor, turned } = constant;
  const { shape } = tensor;
  if (shape.length !== 2) return shape.length < 2 ? null : `the weight has ${shape.length} dimensions, not 2`;
  const transposed = takesColumns !== turned;
  const [outputChannels, inputChannels] = transposed ? [shape[1]!, shape[0]!] : [shape[0]!, shape[1]!];
  if (outputChannels * inputChannels === 0) return 'the weight has no elements';
  const layout = { outputChannels, inputChannels, taps: 1 };
  return { weightPosition, layout, transposed, turned, depthwise: false, isTable: false };
}

function describeTable(
  node: Node,
  [table, indices]: readonly (Constant | null)[],
  { nodes }: Scope,
): WeightShape | string | null {
  if (!table || table.turned || indices || !isLargeFloat(table.tensor)) return null;
  const reason = reasonToKeepTable(node, table.tensor, nodes);
  if (reason !== null) return reason;
  const [outputChannels, inputChannels] = table.tensor.shape as [number, number];
  const layout = { outputChannels, inputChannels, taps: 1 };
  return { weightPosition: 0, layout, transposed: false, turned: false, depthwise: false, isTable: true };
}

function biasOf(
  node: Node,
  { layout, isTable }: WeightShape,
  inMainGraph: boolean,
  constants: readonly (Constant | null)[],
): Pick<Layer, 'bias' | 'floatInputReason'> {
  if (isTable) return { bias: null, floatInputReason: null };
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
  const bias = constants[2]?.turned === false ? constants[2].tensor : undefined;
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

/** A node that reads a constant. */
interface Use {
  readonly tensor: Tensor;
  readonly node: Node;
  readonly position: number;
  /** What it makes of its weight; null where it is no layer or reads the constant in another place. */
  readonly shape: WeightShape | null;
}

/** Whether another node reads rows and columns of the weight as this one does, so that one quantized tensor serves both. */
function isSameUse({ shape: other }: Use, shape: WeightShape): boolean {
  if (other === null || other.transposed !== shape.transposed) return false;
  return other.layout.taps === shape.layout.taps && other.layout.outputChannels === shape.layout.outputChannels;
}

/** Who reads each constant. A tensor object stands for one initializer. */
function usesOfConstants(model: Model): Use[] {
  const uses: Use[] = [];
  walkGraphs(model, (scope) => {
    const index = scope.graph && new GraphIndex(scope.graph);
    const constantOf = (name: string) =>
      index === null ? resolveConstant(name, scope) : constantBehind(name, { scope, index });
    for (const node of scope.nodes) {
      const constants = node.inputs.map(constantOf);
      const shape = scope.function === null ? describe(node, constants, scope) : null;
      const known = shape === null || typeof shape === 'string' ? null : shape;
      // What reads it through a Transpose counts instead.
      if (index !== null && isPlainTranspose(node) && !index.isOutput(node.outputs[0]!) && scope.parent === null)
        continue;
      for (const [position, constant] of constants.entries()) {
        if (constant === null) continue;
        uses.push({
          tensor: constant.tensor,
          node,
          position,
          shape: known?.weightPosition === position ? known : null,
        });
      }
    }
    for (const { name } of scope.graph?.outputs ?? []) {
      const constant = constantOf(name);
      const node = { name, opType: 'output', domain: '', inputs: [], outputs: [], attributes: new Map() };
      if (constant !== null) uses.push({ tensor: constant.tensor, node, position: 0, shape: null });
    }
  });
  return uses;
}

/** The constant behind a name, also where a Transpose of the main graph turns it. */
function constantBehind(name: string, { scope, index }: Place): Constant | null {
  const own = resolveConstant(name, scope);
  if (own !== null || scope.parent !== null) return own;
  const producer = index.producerOf(name);
  const behind =
    producer !== undefined && isPlainTranspose(producer) ? resolveConstant(producer.inputs[0]!, scope) : null;
  return behind?.tensor.shape.length === 2 ? { ...behind, turned: true } : null;
}

/** Whether the node swaps rows and columns, if its input has two dimensions. */
function isPlainTranspose(node: Node): boolean {
  return node.domain === '' && node.opType === 'Transpose' && intsAttribute(node, 'perm', [1, 0]).join() === '1,0';
}

/** The initializer behind a name, looked up through the enclosing graphs. ONNX does not let inner names hide outer ones. */
function resolveConstant(name: string, scope: Scope): Constant | null {
  for (let at: Scope | null = scope; at !== null && name !== ''; at = at.parent) {
    const tensor = at.graph?.initializers.get(name);
    if (tensor !== undefined) return { name, tensor, turned: false };
  }
  return null;
}
