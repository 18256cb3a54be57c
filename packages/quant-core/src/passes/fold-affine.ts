/**
 * Per-channel affine operations after a Conv or Gemm become part of its weight and bias:
 *
 *   a·(W x + b) + c        ⇒        (aW) x + (ab + c)
 *
 *   BatchNormalization     a = γ/√(σ² + ε)      c = β − aμ
 *   Mul k, Div k           a = k, 1/k           c = 0
 *   Add k, Sub k           a = 1                c = k, −k
 *
 * A whole chain is folded at once, computed in float64. Weights that others use too are copied.
 */
import {
  elementCount,
  floatAttribute,
  GraphIndex,
  intAttribute,
  type Model,
  NameAllocator,
  type Node,
  readFloats,
  tensorFromFloats,
} from '../ir/index.js';
import type { ScratchTensors } from '../scratch-tensors.js';
import { outputChannelAxis, perChannelBias } from './output-channels.js';

/** y ↦ a·y + c per output channel. */
interface Affine {
  readonly a: Float64Array;
  readonly c: Float64Array;
}

/** In place, main graph only. @returns whether an operation was folded */
export async function foldAffine(model: Model, scratch: ScratchTensors): Promise<boolean> {
  const index = new GraphIndex(model.graph);
  const names = new NameAllocator(model);
  const folded = new Set<Node>();
  for (const node of model.graph.nodes) {
    if (outputChannelAxis(node) === null || !(await isFoldTarget(node, index))) continue;
    const chain = await collectChain(node, index);
    if (chain.nodes.length === 0) continue;
    await applyToWeight(node, chain.affine, index, names, scratch);
    node.outputs = [...chain.nodes.at(-1)!.outputs.slice(0, 1)];
    for (const member of chain.nodes) folded.add(member);
  }
  model.graph.nodes = model.graph.nodes.filter((node) => !folded.has(node));
  return folded.size > 0;
}

async function isFoldTarget(node: Node, index: GraphIndex): Promise<boolean> {
  if (index.constantOf(node.inputs[1]!)?.tensor.dtype !== 'float32') return false;
  if (floatAttribute(node, 'alpha', 1) !== 1 || floatAttribute(node, 'beta', 1) !== 1) return false;
  return (node.inputs[2] ?? '') === '' || (await biasOf(node, index)) !== null;
}

/** The bias per output channel; null when there is none or it is not constant per channel. */
async function biasOf(node: Node, index: GraphIndex): Promise<Float32Array | null> {
  const bias = index.constantOf(node.inputs[2] ?? '')?.tensor;
  if (bias?.dtype !== 'float32') return null;
  return perChannelBias(await readFloats(bias), bias.shape, channelsOf(node, index));
}

function channelsOf(node: Node, index: GraphIndex): number {
  return index.constantOf(node.inputs[1]!)!.tensor.shape[outputChannelAxis(node)!]!;
}

async function collectChain(start: Node, index: GraphIndex): Promise<{ nodes: Node[]; affine: Affine }> {
  const channels = channelsOf(start, index);
  const rank = index.constantOf(start.inputs[1]!)!.tensor.shape.length;
  const affine: Affine = { a: new Float64Array(channels).fill(1), c: new Float64Array(channels) };
  const nodes: Node[] = [];
  for (let value = start.outputs[0]!; ; ) {
    const next = index.soleConsumerOf(value);
    const step = next && (await affineOf(next, value, channels, rank, index));
    if (next === undefined || !step) return { nodes, affine };
    for (let i = 0; i < channels; i++) {
      affine.a[i]! *= step.a[i]!;
      affine.c[i] = affine.c[i]! * step.a[i]! + step.c[i]!;
    }
    nodes.push(next);
    value = next.outputs[0]!;
  }
}

async function affineOf(
  node: Node,
  value: string,
  channels: number,
  rank: number,
  index: GraphIndex,
): Promise<Affine | null> {
  if (node.domain !== '') return null;
  if (node.opType === 'BatchNormalization') return batchNorm(node, value, channels, index);
  if (!['Mul', 'Div', 'Add', 'Sub'].includes(node.opType)) return null;
  const position = node.inputs[0] === value ? 1 : 0;
  const constant = index.constantOf(node.inputs[position]!)?.tensor;
  if (constant?.dtype !== 'float32' || node.inputs[0] === node.inputs[1]) return null;
  if (!isPerChannel(constant.shape, channels, rank)) return null;
  const values = await readFloats(constant);
  const k = Float64Array.from({ length: channels }, (_, i) => values[values.length === 1 ? 0 : i]!);
  const ones = new Float64Array(channels).fill(1);
  const zeros = new Float64Array(channels);
  if (node.opType === 'Mul') return { a: k, c: zeros };
  if (node.opType === 'Add') return { a: ones, c: k };
  if (node.opType === 'Sub') return position === 1 ? { a: ones, c: k.map((v) => -v) } : { a: ones.map(() => -1), c: k };
  return position === 1 && k.every((v) => v !== 0) ? { a: k.map((v) => 1 / v), c: zeros } : null;
}

/** Whether a constant of this shape, broadcast against [batch, channels, …] of the given rank, varies by channel alone. */
function isPerChannel(shape: readonly number[], channels: number, rank: number): boolean {
  if (shape.length > rank) return false;
  if (elementCount(shape) === 1) return true;
  const aligned = [...new Array<number>(rank - shape.length).fill(1), ...shape];
  return aligned[1] === channels && elementCount(aligned) === channels;
}

async function batchNorm(node: Node, value: string, channels: number, index: GraphIndex): Promise<Affine | null> {
  if (node.inputs[0] !== value || intAttribute(node, 'training_mode', 0) !== 0) return null;
  if (node.outputs.slice(1).some((name) => name !== '')) return null;
  const parameters: Float32Array[] = [];
  for (const name of node.inputs.slice(1, 5)) {
    const tensor = index.constantOf(name)?.tensor;
    if (tensor === undefined || tensor.dtype !== 'float32' || elementCount(tensor.shape) !== channels) return null;
    parameters.push(await readFloats(tensor));
  }
  const [gamma, beta, mean, variance] = parameters as [Float32Array, Float32Array, Float32Array, Float32Array];
  const epsilon = floatAttribute(node, 'epsilon', 1e-5);
  const a = Float64Array.from(gamma, (scale, i) => scale / Math.sqrt(variance[i]! + epsilon));
  return { a, c: Float64Array.from(beta, (shift, i) => shift - a[i]! * mean[i]!) };
}

async function applyToWeight(
  node: Node,
  affine: Affine,
  index: GraphIndex,
  names: NameAllocator,
  scratch: ScratchTensors,
): Promise<void> {
  const { tensor } = index.constantOf(node.inputs[1]!)!;
  const axis = outputChannelAxis(node)!;
  const channels = tensor.shape[axis]!;
  const inner = elementCount(tensor.shape.slice(axis + 1));
  const source = await readFloats(tensor);
  const folded = new Float32Array(source.length);
  for (let i = 0; i < source.length; i++) folded[i] = source[i]! * affine.a[Math.floor(i / inner) % channels]!;
  const bias = (await biasOf(node, index)) ?? new Float32Array(channels);
  const foldedBias = Float32Array.from(bias, (value, i) => value * affine.a[i]! + affine.c[i]!);
  const weightName = names.value(`${node.inputs[1]}_folded`);
  const biasName = names.value(`${node.inputs[2] || `${node.name}_bias`}_folded`);
  index.graph.initializers.set(weightName, await scratch.keep(tensorFromFloats(tensor.shape, folded)));
  index.graph.initializers.set(biasName, tensorFromFloats([channels], foldedBias));
  node.inputs = [node.inputs[0]!, weightName, biasName];
}
