import { createOnnxRuntime } from './onnx-runtime.js';
import type { Runtime } from './runtime.js';
import { createTritforgeRuntime, tritforgeRuntimeProblem } from './tritforge-runtime.js';

/** Whether training graphs may use operators of the domain `tritforge` here: they train convolutions faster than standard ones. */
export function trainsNatively(): boolean {
  return tritforgeRuntimeProblem() === null;
}

/** The runtime for training graphs: with our operators where they were built, else stock onnxruntime. */
export function createTrainingRuntime(): Runtime {
  return trainsNatively() ? createTritforgeRuntime() : createOnnxRuntime();
}
