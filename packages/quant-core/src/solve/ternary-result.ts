import type { TernaryPlane, TernaryWeights, WeightLayout } from '../fgq/index.js';
import { columnPlaces, groupPlaces } from './column-order.js';

/**
 * Ternary weights from planes in the order of the columns.
 * @param planes one or two; codes [OC, K], group codes [OC, taps·G]
 */
export function ternaryWeights(
  layout: WeightLayout,
  groupSize: number,
  channelScales: Float32Array,
  planes: readonly TernaryPlane[],
): TernaryWeights {
  const [first, residual] = planes.map((plane) => toTensorOrder(plane, layout, groupSize));
  return { layout, groupSize, ...first!, ...(residual && { residual }), channelScales };
}

/** Codes of columns in the order of the weight tensor, [OC, IC, taps]. */
export function codesInTensorOrder(codes: Int8Array, layout: WeightLayout): Int8Array {
  const places = columnPlaces(layout);
  const perChannel = places.length;
  const tensor = new Int8Array(codes.length);
  for (let start = 0; start < codes.length; start += perChannel) {
    for (let i = 0; i < perChannel; i++) tensor[start + i] = codes[start + places[i]!]!;
  }
  return tensor;
}

function toTensorOrder({ codes, groupCodes }: TernaryPlane, layout: WeightLayout, groupSize: number): TernaryPlane {
  const places = groupPlaces(layout, groupSize);
  const ordered = new Uint8Array(groupCodes.length);
  for (let start = 0; start < groupCodes.length; start += places.length) {
    places.forEach((place, j) => {
      ordered[start + place] = groupCodes[start + j]!;
    });
  }
  return { codes: codesInTensorOrder(codes, layout), groupCodes: ordered };
}
