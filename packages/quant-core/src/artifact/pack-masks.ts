/**
 * Constants of two values, such as the causal mask of a decoder, as one bit per element. Nothing is lost; onnxruntime computes them
 * once, when it loads the model.
 *
 *   bits  uint8 [⌈n/8⌉]     1 where the element is the second value, lowest bits first
 *
 *   bits → Cast int32 → Gather(table [256, 8] int8) → Reshape [−1] → (Slice [0, n)) → Cast bool → (Where(second, first)) → Reshape
 *
 * Of bools there is no Where.
 */
import {
  elementCount,
  GraphIndex,
  intValue,
  type Model,
  readTensor,
  type Tensor,
  tensorByteLength,
  tensorChunks,
  tensorFromBytes,
  tensorFromInt8,
  tensorFromInt64,
  tensorFromUint8,
} from '../ir/index.js';
import { GraphBuilder } from '../passes/graph-builder.js';

/** Smaller masks take less room than what unpacks them. */
const SMALLEST_BYTES = 8192;
const ELEMENT_BYTES: Readonly<Record<string, number>> = { float32: 4, bool: 1 };
const TO = { int32: intValue(6), bool: intValue(9) } as const;

/** The two values of a mask, as the bytes of an element each. */
interface Mask {
  readonly first: Uint8Array;
  readonly second: Uint8Array;
}

/** In place, main graph only. @returns whether a constant was packed */
export async function packMasks(model: Model): Promise<boolean> {
  const { graph } = model;
  const builder = new GraphBuilder(model);
  const index = new GraphIndex(graph);
  const inputs = new Set(graph.inputs.map(({ name }) => name));
  for (const [name, tensor] of graph.initializers) {
    if (inputs.has(name) || index.isOutput(name)) continue;
    const mask = await maskOf(tensor);
    if (mask === null) continue;
    builder.initializers.delete(name);
    await addMask(builder, name, tensor, mask);
  }
  if (builder.nodes.length === 0) return false;
  graph.nodes = [...builder.nodes, ...graph.nodes];
  graph.initializers = builder.initializers;
  return true;
}

/** The values of a constant of two; null for others. */
async function maskOf(tensor: Tensor): Promise<Mask | null> {
  const size = ELEMENT_BYTES[tensor.dtype];
  if (size === undefined || tensorByteLength(tensor) < SMALLEST_BYTES) return null;
  let [first, second]: (Uint8Array | undefined)[] = [];
  for await (const bytes of tensorChunks(tensor)) {
    for (let at = 0; at < bytes.length; at += size) {
      if (first === undefined) first = bytes.slice(at, at + size);
      else if (!isAt(bytes, at, first)) {
        if (second === undefined) second = bytes.slice(at, at + size);
        else if (!isAt(bytes, at, second)) return null;
      }
    }
  }
  if (first === undefined || second === undefined) return null;
  if (tensor.dtype !== 'bool') return { first, second };
  // A bit is the bool itself, if bools are written as they should be.
  return first[0]! + second[0]! === 1 ? { first: Uint8Array.of(0), second: Uint8Array.of(1) } : null;
}

function isAt(bytes: Uint8Array, at: number, element: Uint8Array): boolean {
  for (let i = 0; i < element.length; i++) if (bytes[at + i] !== element[i]) return false;
  return true;
}

async function addMask(builder: GraphBuilder, name: string, tensor: Tensor, { first, second }: Mask): Promise<void> {
  const count = elementCount(tensor.shape);
  const bits = builder.constant(
    `${name}_bits`,
    tensorFromUint8([Math.ceil(count / 8)], await packBits(tensor, second)),
  );
  const indices = builder.add('Cast', [bits], `${name}_bytes`, { to: TO.int32 });
  const table = builder.shared('bits_of_byte', tensorFromInt8([256, 8], bitsOfBytes()));
  const rows = builder.add('Gather', [table, indices], `${name}_rows`, { axis: intValue(0) });
  const shape = (sizes: readonly number[]) => builder.shared('shape', tensorFromInt64([sizes.length], sizes));
  const flat = builder.add('Reshape', [rows, shape([-1])], `${name}_flat`);
  const position = (at: number) => builder.shared('position', tensorFromInt64([1], [at]));
  const all = count % 8 === 0 ? flat : builder.add('Slice', [flat, position(0), position(count)], `${name}_trimmed`);
  const isSecond = builder.add('Cast', [all], `${name}_is_second`, { to: TO.bool });
  const value = (bytes: Uint8Array) => builder.shared('mask_value', tensorFromBytes(tensor.dtype, [], bytes));
  const values =
    tensor.dtype === 'bool'
      ? isSecond
      : builder.add('Where', [isSecond, value(second), value(first)], `${name}_values`);
  builder.addNamed('Reshape', [values, shape(tensor.shape)], name);
}

async function packBits(tensor: Tensor, second: Uint8Array): Promise<Uint8Array> {
  const bytes = await readTensor(tensor);
  const count = elementCount(tensor.shape);
  const packed = new Uint8Array(Math.ceil(count / 8));
  for (let i = 0; i < count; i++) if (isAt(bytes, i * second.length, second)) packed[i >> 3]! |= 1 << (i & 7);
  return packed;
}

function bitsOfBytes(): Int8Array {
  return Int8Array.from({ length: 2048 }, (_, i) => ((i >> 3) >> (i & 7)) & 1);
}
