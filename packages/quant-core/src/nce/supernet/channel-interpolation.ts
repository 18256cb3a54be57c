/**
 * Channel-wise interpolation: c channels as c′ ones, by means over neighbours, so that outputs of several widths can be added.
 *
 *   y_i = mean x_j,   ⌊i c / c′⌋ ≤ j < ⌈(i + 1) c / c′⌉
 *
 * Source: Dong and Yang 2019 (TAS), §3.2 (adaptive average pooling over channels).
 */

/** The channels j of c that channel i of c′ is the mean of, from the first to before the last. @param i from 0 to c′ − 1 */
export function neighbours(
  i: number,
  { from, to }: { readonly from: number; readonly to: number },
): [begin: number, end: number] {
  return [Math.floor((i * from) / to), Math.ceil(((i + 1) * from) / to)];
}
