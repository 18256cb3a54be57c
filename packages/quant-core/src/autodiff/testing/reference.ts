import type { Node } from '../../ir/index.js';
import { ACTIVATIONS_REFERENCE } from './activations-reference.js';
import { CONVOLUTION_REFERENCE } from './convolution-reference.js';
import { ELEMENTWISE_REFERENCE } from './elementwise-reference.js';
import { INDEXING_REFERENCE } from './indexing-reference.js';
import { LAYOUT_REFERENCE } from './layout-reference.js';
import { LINEAR_REFERENCE } from './linear-reference.js';
import { NORMALIZATION_REFERENCE } from './normalization-reference.js';
import { POOLING_REFERENCE } from './pooling-reference.js';
import { REDUCTIONS_REFERENCE } from './reductions-reference.js';

/** A tensor in float64; integers and booleans too. */
export interface Tensor64 {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

/** The definition of an operator, as plainly as can be. Left out inputs are undefined. */
export type ReferenceOp = (inputs: readonly (Tensor64 | undefined)[], node: Node) => Tensor64[];

/** Definitions that gradients are tested against, by finite differences. */
export const REFERENCE: Readonly<Record<string, ReferenceOp>> = {
  ...ACTIVATIONS_REFERENCE,
  ...CONVOLUTION_REFERENCE,
  ...ELEMENTWISE_REFERENCE,
  ...INDEXING_REFERENCE,
  ...LAYOUT_REFERENCE,
  ...LINEAR_REFERENCE,
  ...NORMALIZATION_REFERENCE,
  ...POOLING_REFERENCE,
  ...REDUCTIONS_REFERENCE,
};
