import type { LayerPrecision } from '@tritforge/contracts';
import type { WeightLayout } from '../fgq/index.js';
import type { Graph, Node, Tensor } from '../ir/index.js';

/** A Conv, Gemm or MatMul with a constant float32 weight, or a Gather of rows of a constant float32 table. */
export interface Layer {
  readonly node: Node;
  /** The graph that the node is in. */
  readonly graph: Graph;
  /** False in the bodies of If, Loop and Scan, whose values cannot be observed. */
  readonly inMainGraph: boolean;
  readonly weightName: string;
  /** Layers that share a weight have the same object here. */
  readonly weight: Tensor;
  /** Which input the weight is. */
  readonly weightPosition: 0 | 1;
  /** The weight as [OC, IC, taps]. */
  readonly layout: WeightLayout;
  /** Whether the tensor stores [IC, OC]: Gemm with transB = 0, and MatMul with the weight on the right. */
  readonly transposed: boolean;
  /** Whether the operator gets the tensor through a Transpose: a product that shares its weight with a table. */
  readonly turned: boolean;
  /** Whether the operator looks rows of the weight up, [OC, IC], and multiplies nothing; its other input are indices. */
  readonly isTable: boolean;
  /** A convolution with one input channel per output channel and several groups. */
  readonly depthwise: boolean;
  /** The constant bias, [OC]; null when there is none. */
  readonly bias: Tensor | null;
  /** Why the layer's input cannot be quantized; null when it can. */
  readonly floatInputReason: string | null;
}

/** Whether the layer has a constant bias, or a free place for one. */
export function canHaveBias({ node, bias, isTable }: Layer): boolean {
  return bias !== null || (!isTable && node.opType !== 'MatMul' && (node.inputs[2] ?? '') === '');
}

/** A node with weights that stays as it is. */
export interface KeptNode {
  readonly node: string;
  readonly op: string;
  readonly reason: string;
}

/** A layer and what the recipe makes of it. */
export interface PlannedLayer {
  readonly layer: Layer;
  readonly requested: LayerPrecision;
  readonly applied: LayerPrecision;
  /** Why `applied` differs from `requested`. */
  readonly reason: string | null;
}
