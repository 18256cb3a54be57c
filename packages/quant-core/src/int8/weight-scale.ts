/** What every per-output-channel weight scale must be: a positive float32 whose products with all codes are finite. */

const SMALLEST_FLOAT32 = 2 ** -149;
const LARGEST_FLOAT32 = (2 - 2 ** -23) * 2 ** 127;

/**
 * Scale of an output channel whose weights are all zero. It multiplies nothing but zeros; it is positive because an
 * int32 bias is stored in units of input scale × weight scale, and of this size because such a bias then resolves
 * 2⁻¹⁶ input steps and reaches 2¹⁴ of them.
 */
export const EMPTY_CHANNEL_SCALE = 2 ** -16;

/** The nearest scale that can be stored. */
export function storableScale(scale: number, largestCode: number): number {
  return Math.fround(Math.min(Math.max(scale, SMALLEST_FLOAT32), LARGEST_FLOAT32 / largestCode));
}

/** @throws RangeError when the lower bounds are not one finite, non-negative number per output channel */
export function checkMinimumScales(minimumScales: Float32Array | undefined, outputChannels: number): void {
  if (minimumScales === undefined) return;
  if (minimumScales.length !== outputChannels) {
    throw new RangeError(`minimumScales must have ${outputChannels} values, got ${minimumScales.length}`);
  }
  if (!minimumScales.every((scale) => scale >= 0 && Number.isFinite(scale))) {
    throw new RangeError('minimumScales must be finite and not negative');
  }
}
