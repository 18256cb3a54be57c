/** Ternary kernels: native where they could be built, TypeScript elsewhere, with the same results. */
import { fallbackKernels } from './fallback-kernels.js';
import { loadNativeKernels } from './native-kernels.js';
import type { Kernels } from './ternary-gemm.js';

export { NativeKernelsUnavailable } from './addon.js';
export { loadSubtractProduct, type StridedMatrix, type SubtractProduct } from './matrix-product.js';
export {
  OrtError,
  type OrtLibrary,
  type OrtLoadOptions,
  type OrtRunOptions,
  type OrtSession,
  openOrtLibrary,
} from './ort-session.js';
export type { OrtDataType, OrtTensor, OrtTensorData, OrtValueInfo } from './ort-tensor.js';
export {
  type Convolution,
  type CpuFeatures,
  type DynamicMatmul,
  type IntegerWeights,
  type Isa,
  type KernelResult,
  type Layout,
  type PackedKernels,
  type PackedWeights,
  type PackOptions,
  packedKernels,
  type RunOptions,
} from './packed-kernels.js';
export type { Kernels, ScaledTernaryGemm, TernaryGemm } from './ternary-gemm.js';

/** Which kernels run in this process. */
export interface KernelInfo {
  readonly implementation: 'native' | 'fallback';
  /** Why the native kernels are not used, with what would bring them; null when they are. */
  readonly reason: string | null;
}

let chosen: { readonly kernels: Kernels; readonly info: KernelInfo } | undefined;

/**
 * The kernels of this process; the addon is loaded at the first call.
 *
 * @example const accumulators = await kernels().ternaryGemmInt32({ rows: 1, outputChannels: 64, … });
 */
export function kernels(): Kernels {
  return choose().kernels;
}

/** Says whether the kernels are native, and if not, why. */
export function kernelInfo(): KernelInfo {
  return choose().info;
}

function choose(): NonNullable<typeof chosen> {
  chosen ??= load();
  return chosen;
}

function load(): NonNullable<typeof chosen> {
  try {
    return { kernels: loadNativeKernels(), info: { implementation: 'native', reason: null } };
  } catch (error) {
    return { kernels: fallbackKernels, info: { implementation: 'fallback', reason: (error as Error).message } };
  }
}
