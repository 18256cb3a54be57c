import { type Addon, loadAddon } from './addon.js';
import type { Kernels } from './ternary-gemm.js';

/** The part of the addon that this file uses. */
interface GemmAddon extends Addon {
  ternaryGemmInt32(...args: unknown[]): Promise<Int32Array>;
  ternaryGemmFloat32(...args: unknown[]): Promise<Float32Array>;
}

/**
 * Loads the native kernels.
 * @param buildFolder where build.mjs left them
 * @throws NativeKernelsUnavailable when they were not built, or cannot be loaded here
 */
export function loadNativeKernels(buildFolder?: URL): Kernels {
  const addon = loadAddon(buildFolder) as GemmAddon;
  return {
    ternaryGemmInt32: (gemm) =>
      addon.ternaryGemmInt32(
        gemm.rows,
        gemm.outputChannels,
        gemm.inputChannels,
        gemm.groupSize,
        gemm.zeroPoint,
        gemm.activations,
        gemm.packedCodes,
        gemm.groupCodes,
      ),
    ternaryGemmFloat32: (gemm) =>
      addon.ternaryGemmFloat32(
        gemm.rows,
        gemm.outputChannels,
        gemm.inputChannels,
        gemm.groupSize,
        gemm.zeroPoint,
        gemm.activations,
        gemm.packedCodes,
        gemm.groupCodes,
        gemm.inputScale,
        gemm.channelScales,
      ),
  };
}
