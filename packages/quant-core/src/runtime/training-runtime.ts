import { type Isa, packedKernels } from '@tritforge/kernels';
import { createOnnxRuntime } from './onnx-runtime.js';
import type { Runtime } from './runtime.js';
import { createTritforgeRuntime, tritforgeRuntimeProblem } from './tritforge-runtime.js';

/** Those whose vectors the operators of training use. On others they would be slower than onnxruntime's own. */
const WITH_VECTORS: ReadonlySet<Isa> = new Set<Isa>(['avx512', 'avxvnni', 'avx2']);

/** Whether training graphs should use operators of the domain `tritforge` here: they train convolutions faster than standard ones. */
export function trainsNatively(): boolean {
  return tritforgeRuntimeProblem() === null && WITH_VECTORS.has(packedKernels().cpuFeatures().active);
}

/** The runtime for training graphs: with our operators where they pay, else stock onnxruntime. */
export function createTrainingRuntime(): Runtime {
  return trainsNatively() ? createTritforgeRuntime() : createOnnxRuntime();
}
