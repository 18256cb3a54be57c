/**
 * Operators of the standard domain that move or select elements, on images whose channels are last. A new one is a line in the
 * table; what is missing there gets its input transposed back.
 */
import {
  type Attribute,
  type GraphIndex,
  intAttribute,
  intsInMemory,
  intValue,
  type Node,
  type Tensor,
  tensorFromBytes,
  tensorFromInt64,
} from '../../ir/index.js';
import type { GraphBuilder } from '../../passes/graph-builder.js';

/** Where an axis of batch × channels × height × width is found in batch × height × width × channels. */
const NEW_AXIS = [0, 3, 1, 2] as const;
/** Which axis of batch × channels × height × width each axis of the other layout was. */
export const TO_CHANNELS_LAST = [0, 2, 3, 1] as const;
export const TO_CHANNELS_FIRST = [0, 3, 1, 2] as const;

/** Inputs besides the data, and attributes that change. */
export interface Adapted {
  readonly parameters: readonly string[];
  readonly attributes: Readonly<Record<string, Attribute>>;
}

/** What an adapter may look at and add to. */
export interface AdaptingContext {
  readonly index: GraphIndex;
  readonly builder: GraphBuilder;
  /** Name of the zero point of the node's result. */
  zeroPoint(): string;
}

type Adapter = (node: Node, context: AdaptingContext) => Adapted | null;

const unchanged: Adapter = () => ({ parameters: [], attributes: {} });

const ADAPTERS: Readonly<Record<string, Adapter>> = {
  Add: unchanged,
  Concat: moveAxis,
  LeakyRelu: unchanged,
  Mul: unchanged,
  Pad: permutePads,
  Resize: permuteSizes,
  Sigmoid: unchanged,
  Slice: renumberAxes,
  Split: (node) => {
    const adapted = moveAxis(node);
    return adapted && { ...adapted, parameters: node.inputs.slice(1) };
  },
};

/** The node as it is on images with channels last; null when it has no such form. */
export function onChannelsLast(node: Node, context: AdaptingContext): Adapted | null {
  return ADAPTERS[node.opType]?.(node, context) ?? null;
}

function moveAxis(node: Node): Adapted | null {
  const axis = newAxis(intAttribute(node, 'axis', 0));
  return axis === null ? null : { parameters: [], attributes: { axis: intValue(axis) } };
}

function permutePads(node: Node, { index, builder, zeroPoint }: AdaptingContext): Adapted | null {
  const pads = integers(node.inputs[1], index);
  if (pads?.length !== 8 || (node.inputs[3] ?? '') !== '') return null;
  const moved = [...permuted(pads.slice(0, 4)), ...permuted(pads.slice(4))];
  return { parameters: [builder.shared('pads', tensorFromInt64([8], moved)), zeroPoint()], attributes: {} };
}

function renumberAxes(node: Node, { index, builder }: AdaptingContext): Adapted | null {
  const [, starts = '', ends = '', axes = '', steps = ''] = node.inputs;
  const count = index.constantOf(starts)?.tensor.shape[0];
  const old = axes === '' ? Array.from({ length: count ?? 0 }, (_, axis) => axis) : integers(axes, index);
  const renumbered = old?.map((axis) => newAxis(axis));
  if (count === undefined || renumbered === undefined || renumbered.includes(null)) return null;
  const added = builder.shared('axes', tensorFromInt64([count], renumbered as number[]));
  return { parameters: steps === '' ? [starts, ends, added] : [starts, ends, added, steps], attributes: {} };
}

/** Of a Resize with constant scales or sizes of all axes. */
function permuteSizes(node: Node, { index, builder }: AdaptingContext): Adapted | null {
  if (node.attributes.has('axes')) return null;
  const parameters = [''];
  for (const name of node.inputs.slice(2)) {
    const tensor = name === '' ? undefined : index.constantOf(name)?.tensor;
    const moved = tensor && permutedTensor(tensor);
    if (name !== '' && !moved) return null;
    parameters.push(moved ? builder.constant(`${name}_channels_last`, moved) : '');
  }
  return { parameters, attributes: {} };
}

function permutedTensor(tensor: Tensor): Tensor | null {
  if (tensor.data.kind !== 'memory' || tensor.shape.join() !== '4') return null;
  const { bytes } = tensor.data;
  const width = bytes.byteLength / 4;
  const moved = new Uint8Array(bytes.byteLength);
  TO_CHANNELS_LAST.forEach((from, to) => {
    moved.set(bytes.subarray(from * width, (from + 1) * width), to * width);
  });
  return tensorFromBytes(tensor.dtype, tensor.shape, moved);
}

function permuted(values: readonly number[]): number[] {
  return TO_CHANNELS_LAST.map((from) => values[from]!);
}

function integers(name: string | undefined, index: GraphIndex): number[] | undefined {
  const tensor = index.constantOf(name ?? '')?.tensor;
  return tensor && intsInMemory(tensor)?.map(Number);
}

function newAxis(axis: number): number | null {
  return NEW_AXIS[axis < 0 ? axis + 4 : axis] ?? null;
}
