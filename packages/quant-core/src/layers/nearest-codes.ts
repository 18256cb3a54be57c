import type { LayerPrecision } from '@tritforge/contracts';
import { ternarize, ternarizeTwice } from '../fgq/index.js';
import { quantizeInt4 } from '../int4/index.js';
import type { WeightCodes } from './encoded-weight.js';
import type { Layer } from './layer.js';

/**
 * The codes of a group-wise precision that come nearest to the weights themselves, whatever the layer's inputs are.
 *
 * @param weights [OC, IC, taps]
 * @param minimumScales lower bounds of the channel scales, [OC]
 * @throws TritforgeError MODEL_NONFINITE_WEIGHTS
 */
export function nearestCodes(
  weights: Float32Array,
  { layer, applied }: { readonly layer: Pick<Layer, 'layout'>; readonly applied: LayerPrecision },
  minimumScales: Float32Array | undefined,
): WeightCodes {
  const { layout } = layer;
  const { bits, planes, groupSize } = applied;
  if (bits === 4) return { kind: 'int4', weights: quantizeInt4(weights, layout, groupSize!, { minimumScales }) };
  const solve = planes === 2 ? ternarizeTwice : ternarize;
  return { kind: 'ternary', weights: solve(weights, layout, groupSize!, { minimumScales }) };
}
