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
