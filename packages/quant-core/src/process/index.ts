/** The engine in a process of its own. Importing this loads neither onnxruntime nor an image decoder. Start at `run-task.ts`. */
export { ENGINE_VERSION } from '../engine-version.js';
export type { Evaluation } from '../evaluate/index.js';
export type { LayerSummary, ModelInspection } from '../inspect.js';
export type { DatasetReference } from '../quantize-request.js';
export { ENGINE_ENVIRONMENT } from './engine-process.js';
export type { EngineTask, EvaluateTaskRequest, QuantizeTaskRequest, TaskProgress, TaskResults } from './engine-task.js';
export { machineMemoryBytes } from './machine-memory.js';
export type { ProcessLimits } from './process-limits.js';
export * from './run-task.js';
