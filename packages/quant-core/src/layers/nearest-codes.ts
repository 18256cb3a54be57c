import type { LayerPrecision } from '@tritforge/contracts';
import { ternarize, ternarizeTwice } from '../fgq/index.js';
import { quantizeInt2 } from '../int2/index.js';
import { quantizeInt4 } from '../int4/index.js';
import { quantizeInt8 } from '../int8/index.js';
import { codesKind } from './codes-kind.js';
import type { WeightCodes } from './encoded-weight.js';
import type { Layer } from './layer.js';

/**
 * The codes of a precision that come nearest to the weights themselves, whatever the layer's inputs are.
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
  const { planes, groupSize } = applied;
  const kind = codesKind(applied);
  switch (kind) {
    case 'int8':
      return { kind, weights: quantizeInt8(weights, layout, { minimumScales }) };
    case 'int4':
      return { kind, weights: quantizeInt4(weights, layout, groupSize!, { minimumScales }) };
    case 'int2':
      return { kind, weights: quantizeInt2(weights, layout, { minimumScales }) };
    case 'ternary': {
      const solve = planes === 2 ? ternarizeTwice : ternarize;
      return { kind, weights: solve(weights, layout, groupSize!, { minimumScales }) };
    }
  }
}
