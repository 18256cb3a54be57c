import { type KernelInfo, kernelInfo } from './runtime/kernels.js';
import { onnxruntimeVersion } from './runtime/onnx-runtime.js';

/** What this installation computes with. */
export interface Versions {
  readonly onnxruntime: string;
  readonly kernels: KernelInfo;
}

/** Asks for versions and kernels; loads the kernels, not onnxruntime. */
export function versions(): Versions {
  return { onnxruntime: onnxruntimeVersion(), kernels: kernelInfo() };
}
