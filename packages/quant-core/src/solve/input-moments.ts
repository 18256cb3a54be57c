/**
 * What calibration tells a solver about the inputs of a layer: the first two moments of its input windows, and how they
 * go with the outputs of the original network.
 *
 * x is one input window of the layer in the network whose earlier layers are already quantized, y the output that the
 * original network has at the same place (bias included, before any activation function).
 *
 * **Column order.** Column tap·IC + ic: tap-major, so that a group of N neighbouring input channels at one kernel
 * position is a contiguous range of columns. Weight tensors come as [OC, IC, taps].
 */
import type { WeightLayout } from '../fgq/grouping.js';
import { sharedFloat64 } from '../linalg/index.js';

/** Moments of the inputs of one convolution group, or of one linear layer; float64. */
export interface InputMoments {
  /** K = taps·IC. */
  readonly columns: number;
  /** Input windows seen. */
  readonly rows: number;
  /** μ = E[x], [K]. */
  readonly mean: Float64Array;
  /** E[(x − μ)(x − μ)ᵀ], [K, K], symmetric, both halves filled. */
  readonly second: Float64Array;
  /** E[(x − μ)(y − ν)ᵀ], [K, OC] with the output channels of this convolution group. */
  readonly cross: Float64Array;
  /** ν = E[y], [OC], bias included. */
  readonly outputMean: Float64Array;
  /** E[(y − ν)²], [OC]. */
  readonly outputVariance: Float64Array;
}

/**
 * Moments about zero, E[x xᵀ] and E[x (y − b)ᵀ], for a solver whose layer gets no corrected mean afterwards. Means and output
 * variances stay as they are.
 * @param bias b of the layer, [OC]; null where it has none
 * @param overwrite whether the result may take the memory of `moments`, which is of no use afterwards then
 */
export function momentsAboutZero(moments: InputMoments, bias: Float32Array | null, overwrite = false): InputMoments {
  const { mean, outputMean } = moments;
  const offset = outputMean.map((value, oc) => value - (bias?.[oc] ?? 0));
  const into = (matrix: Float64Array) => (overwrite ? matrix : sharedFloat64(matrix.length));
  return {
    ...moments,
    second: addOuterProduct(moments.second, mean, mean, into(moments.second)),
    cross: addOuterProduct(moments.cross, mean, offset, into(moments.cross)),
  };
}

/** M + left·rightᵀ. */
function addOuterProduct(
  matrix: Float64Array,
  left: Float64Array,
  right: Float64Array,
  sum: Float64Array,
): Float64Array {
  for (let i = 0, at = 0; i < left.length; i++) {
    for (let j = 0; j < right.length; j++, at++) sum[at] = matrix[at]! + left[i]! * right[j]!;
  }
  return sum;
}

/** Moments for some output channels of a layer, [from, to): those of inputs are shared, those of outputs copied. */
export function momentsOfChannels(moments: InputMoments, from: number, to: number): InputMoments {
  const { columns, cross, outputMean, outputVariance } = moments;
  const channels = outputMean.length;
  if (from === 0 && to === channels) return moments;
  const part = new Float64Array(columns * (to - from));
  for (let column = 0; column < columns; column++) {
    part.set(cross.subarray(column * channels + from, column * channels + to), column * (to - from));
  }
  return {
    ...moments,
    cross: part,
    outputMean: outputMean.slice(from, to),
    outputVariance: outputVariance.slice(from, to),
  };
}

/** @throws RangeError when the moments are not those of a layer with this layout */
export function checkMoments(moments: InputMoments, { outputChannels, inputChannels, taps }: WeightLayout): void {
  const columns = inputChannels * taps;
  const expected = {
    mean: columns,
    second: columns * columns,
    cross: columns * outputChannels,
    outputMean: outputChannels,
    outputVariance: outputChannels,
  };
  if (moments.columns !== columns)
    throw new RangeError(`moments of ${moments.columns} columns for a layer of ${columns}`);
  for (const name of ['mean', 'second', 'cross', 'outputMean', 'outputVariance'] as const) {
    if (moments[name].length === expected[name]) continue;
    throw new RangeError(`moments.${name} must have ${expected[name]} values, got ${moments[name].length}`);
  }
}
