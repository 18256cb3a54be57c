import { type GraphIndex, type Node, readFloats } from '../ir/index.js';

/**
 * The activation function after a node that quantizing its result to [0, c'] with zero point 0 already computes: Relu, or
 * Clip to [0, c] as c' ≤ c. Such a node is left out, because kernels fuse a QuantizeLinear that follows directly.
 * @returns null when something else uses the value in between
 */
export async function impliedActivation(value: string, index: GraphIndex): Promise<Node | null> {
  const next = index.soleConsumerOf(value);
  if (next === undefined || next.domain !== '' || next.inputs[0] !== value) return null;
  if (next.opType === 'Relu') return next;
  return next.opType === 'Clip' && (await clipsAtZero(next, index)) ? next : null;
}

async function clipsAtZero(node: Node, index: GraphIndex): Promise<boolean> {
  const low = await scalar(node.inputs[1], index);
  const high = await scalar(node.inputs[2], index);
  const hasNoTop = (node.inputs[2] ?? '') === '';
  return low === 0 && (hasNoTop || (high !== null && high > 0));
}

async function scalar(name: string | undefined, index: GraphIndex): Promise<number | null> {
  const tensor = index.constantOf(name ?? '')?.tensor;
  return tensor?.dtype === 'float32' ? ((await readFloats(tensor))[0] ?? null) : null;
}
