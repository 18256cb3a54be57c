import { type EngineName, TritforgeError } from '@tritforge/contracts';
import { createOnnxRuntime } from './onnx-runtime.js';
import type { Runtime } from './runtime.js';
import { createTritforgeRuntime, tritforgeRuntimeProblem } from './tritforge-runtime.js';

/**
 * The runtime of a name: `ort` is stock onnxruntime, `tritforge` the same library with Tritforge's operators.
 * @throws TritforgeError ENGINE_UNAVAILABLE saying what is missing and what would bring it
 */
export function createRuntime(engine: EngineName): Runtime {
  if (engine === 'ort') return createOnnxRuntime();
  const problem = tritforgeRuntimeProblem();
  if (problem !== null) {
    throw new TritforgeError('ENGINE_UNAVAILABLE', `The engine tritforge cannot run here: ${problem}`, {
      remediation: 'Use the engine ort, which runs every artifact, or build the native kernels.',
    });
  }
  return createTritforgeRuntime();
}

/** The runtime with Tritforge's operators, or null where they were not built: what can be measured without, is. */
export function acceleratedRuntime(): Runtime | null {
  return tritforgeRuntimeProblem() === null ? createTritforgeRuntime() : null;
}
