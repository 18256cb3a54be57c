/**
 * Which operators can work on uint8 values, besides Conv, Gemm and MatMul. A new one is a line in this table.
 *
 *  - `passThrough` operators move or select elements. They run on the uint8 values themselves, with one scale in and out.
 *  - `arithmetic` operators compute. They are written as DequantizeLinear → op → QuantizeLinear, which onnxruntime fuses to
 *    QLinearAdd, QLinearConcat and so on. Only operators for which it has an integer kernel belong here.
 */
import {
  type GraphIndex,
  intAttribute,
  intsInMemory,
  isFloat,
  type Node,
  stringAttribute,
  type Tensor,
} from '../ir/index.js';

/** How an operator handles uint8 values. */
export interface IntegerOp {
  readonly kind: 'passThrough' | 'arithmetic';
  /** Positions of the inputs that are quantized; the others are shapes, indices and parameters. */
  readonly dataInputs: readonly number[] | 'all';
  /** Whether this node is one that the kernels cover; all are when left out. */
  readonly covers?: (node: Node, index: GraphIndex) => boolean;
}

const moves: IntegerOp = { kind: 'passThrough', dataInputs: [0] };

const INTEGER_OPS: Readonly<Record<string, IntegerOp>> = {
  Expand: moves,
  Flatten: moves,
  Gather: moves,
  MaxPool: { ...moves, covers: (node) => (node.outputs[1] ?? '') === '' },
  Pad: { ...moves, covers: padsWithZeros },
  Reshape: moves,
  Resize: { ...moves, covers: (node) => stringAttribute(node, 'mode', 'nearest') === 'nearest' },
  Slice: moves,
  Split: moves,
  Squeeze: moves,
  Tile: moves,
  Transpose: moves,
  Unsqueeze: moves,
  Add: { kind: 'arithmetic', dataInputs: [0, 1], covers: hasTwoOperands },
  Mul: { kind: 'arithmetic', dataInputs: [0, 1], covers: hasTwoOperands },
  Concat: { kind: 'arithmetic', dataInputs: 'all' },
  AveragePool: { kind: 'arithmetic', dataInputs: [0], covers: (node) => intAttribute(node, 'ceil_mode', 0) === 0 },
  GlobalAveragePool: { kind: 'arithmetic', dataInputs: [0] },
  LeakyRelu: { kind: 'arithmetic', dataInputs: [0] },
  Sigmoid: { kind: 'arithmetic', dataInputs: [0] },
};

/** The table's line for a node; null when it works on floating-point values only. */
export function integerOp(node: Node, index: GraphIndex): IntegerOp | null {
  const op = node.domain === '' ? INTEGER_OPS[node.opType] : undefined;
  return op !== undefined && (op.covers?.(node, index) ?? true) ? op : null;
}

/** Names of the quantized inputs of a node. */
export function dataInputsOf(node: Node, op: IntegerOp): string[] {
  return op.dataInputs === 'all' ? node.inputs : op.dataInputs.map((position) => node.inputs[position]!);
}

function hasTwoOperands(node: Node, index: GraphIndex): boolean {
  return node.inputs.every((name) => index.constantOf(name) === undefined);
}

/** Padding with anything but zeros would need a code of its own; other modes copy elements. */
function padsWithZeros(node: Node, index: GraphIndex): boolean {
  if (stringAttribute(node, 'mode', 'constant') !== 'constant') return true;
  const name = node.inputs[2] ?? '';
  const value = name === '' ? undefined : index.constantOf(name)?.tensor;
  return name === '' || (value !== undefined && isZero(value));
}

function isZero(tensor: Tensor): boolean {
  if (tensor.data.kind !== 'memory') return false;
  if (isFloat(tensor.dtype)) return tensor.data.bytes.every((byte) => byte === 0);
  return intsInMemory(tensor)?.every((value) => value === 0n) ?? false;
}
