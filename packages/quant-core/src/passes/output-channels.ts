import { intAttribute, type Node } from '../ir/index.js';

/** Operators whose result is linear in a constant weight and has one output channel per slice of it. */
const WEIGHT_AXIS: Readonly<Record<string, (node: Node) => number>> = {
  Conv: () => 0,
  Gemm: (node) => (intAttribute(node, 'transB', 0) === 0 ? 1 : 0),
};

/** The axis of the weight (input 1) that counts output channels; null for operators other than Conv and Gemm. */
export function outputChannelAxis(node: Node): number | null {
  return node.domain === '' ? (WEIGHT_AXIS[node.opType]?.(node) ?? null) : null;
}

/**
 * A bias as one value per output channel.
 * @param shape broadcast along everything but the last axis
 * @returns null when the bias varies along other axes
 */
export function perChannelBias(values: Float32Array, shape: readonly number[], channels: number): Float32Array | null {
  const leading = shape.slice(0, -1);
  if (leading.some((size) => size !== 1)) return null;
  if (values.length === channels) return values;
  return values.length === 1 ? new Float32Array(channels).fill(values[0]!) : null;
}
