/**
 * Biases as int32, added to the accumulator of u8 × s8 products.
 *
 *   b[oc] ≈ q[oc] · (x_scale · w_scale[oc])        q = clamp(round(b / (x_scale · w_scale)), −2³⁰, 2³⁰)
 *
 * Half of the int32 range is left to the products.
 */

/** Largest |q| of a bias. */
export const MAX_BIAS_CODE = 2 ** 30;

/** A bias smaller than any normal float32 step could not be told from zero by the kernels. */
const SMALLEST_BIAS_SCALE = 2 ** -120;

/** An int32 bias. */
export interface Int32Bias {
  readonly values: Int32Array;
  /** x_scale·w_scale as float32, [OC]; onnxruntime fuses a bias only when its scale is exactly this product. */
  readonly scales: Float32Array;
  /** Output channels whose bias did not fit and was clamped; empty when the weight scales respect {@link smallestWeightScales}. */
  readonly clampedChannels: readonly number[];
}

/**
 * Quantizes a bias.
 * @throws RangeError when the lengths differ or a scale is not positive
 */
export function quantizeBias(bias: Float32Array, inputScale: number, weightScales: Float32Array): Int32Bias {
  if (bias.length !== weightScales.length) {
    throw new RangeError(`${bias.length} biases need as many weight scales, got ${weightScales.length}`);
  }
  const scales = weightScales.map((weightScale) => inputScale * weightScale);
  const values = new Int32Array(bias.length);
  const clampedChannels: number[] = [];
  bias.forEach((value, oc) => {
    const scale = scales[oc]!;
    if (!(scale > 0 && Number.isFinite(scale))) throw new RangeError(`the bias scale of channel ${oc} is ${scale}`);
    const code = Math.round(value / scale);
    values[oc] = Math.min(Math.max(code, -MAX_BIAS_CODE), MAX_BIAS_CODE);
    if (values[oc] !== code) clampedChannels.push(oc);
  });
  return { values, scales, clampedChannels };
}

/** What a bias means once it is stored: q · (x_scale · w_scale), [OC]. @throws RangeError as {@link quantizeBias} */
export function roundedBias(bias: Float32Array, inputScale: number, weightScales: Float32Array): Float32Array {
  const { values, scales } = quantizeBias(bias, inputScale, weightScales);
  return scales.map((scale, oc) => values[oc]! * scale);
}

/**
 * The smallest weight scale of each output channel with which its bias fits. Folding a batch norm leaves channels of
 * tiny weights beside an ordinary bias; pass the result as `minimumScales` when quantizing the weights.
 * @throws RangeError when the input scale is not positive and finite
 */
export function smallestWeightScales(bias: Float32Array, inputScale: number): Float32Array {
  if (!(inputScale > 0 && Number.isFinite(inputScale))) throw new RangeError(`the input scale is ${inputScale}`);
  return bias.map((value) => roundUp(Math.max(Math.abs(value) / MAX_BIAS_CODE, SMALLEST_BIAS_SCALE) / inputScale));
}

/** A float32 that is not below the value, with room for the rounding of one float32 product. */
function roundUp(value: number): number {
  return value * (1 + 2 ** -22);
}
