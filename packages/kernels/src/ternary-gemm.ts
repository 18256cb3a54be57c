/**
 * The ternary matrix product, as native code and the TypeScript fallback both compute it.
 *
 *   C[m][n] = Σ_k (A[m][k] − zeroPoint) · t[n][k] · c[n][⌊k / groupSize⌋]
 *
 * M rows of activations, N output channels, K input channels; all arrays row-major.
 */
export interface TernaryGemm {
  /** M. */
  readonly rows: number;
  /** N. */
  readonly outputChannels: number;
  /** K; 0 gives a result of zeros. */
  readonly inputChannels: number;
  /** Neighbouring input channels that share a group code; the last group of a row may be short. */
  readonly groupSize: number;
  /** Of the activations, 0…255. */
  readonly zeroPoint: number;
  /** A, [M, K]. */
  readonly activations: Uint8Array;
  /**
   * t, [N, K]: four 2-bit codes per byte, low bits first, −1 = 0b11, 0 = 0b00, +1 = 0b01. A row may begin inside a
   * byte.
   */
  readonly packedCodes: Uint8Array;
  /** c, [N, ⌈K / groupSize⌉]. */
  readonly groupCodes: Uint8Array;
}

/** A product whose result is scaled back to real numbers. */
export interface ScaledTernaryGemm extends TernaryGemm {
  /** Scale of the activations; a positive float32. */
  readonly inputScale: number;
  /** Scale of each output channel, [N]; positive. */
  readonly channelScales: Float32Array;
}

/**
 * One implementation of the kernels. Arguments are copied before a call returns, so they may be changed at once.
 *
 * Both functions throw, before they return a promise, a TypeError for an argument of another type and a RangeError for
 * a number or a length out of range. The promise rejects with a RangeError when a packed code is 0b10 or when
 * 255·Σ|t·c| of an output channel does not fit in int32.
 */
export interface Kernels {
  /** C as exact int32, [M, N]. */
  ternaryGemmInt32(gemm: TernaryGemm): Promise<Int32Array>;
  /** C · inputScale · channelScales[n] as float32, [M, N]; computed in float64 and rounded once. */
  ternaryGemmFloat32(gemm: ScaledTernaryGemm): Promise<Float32Array>;
}
