import type { DatasetSummary, EngineName, Metric, Preprocess, Report, TensorInfo } from '@tritforge/contracts';
import type { Evaluation } from '../evaluate/index.js';
import type { ModelInspection } from '../inspect.js';
import type { DatasetReference, PhaseProgress, QuantizeRequest } from '../quantize-request.js';

/** How far a task is; only `quantize` and `evaluate` report it. */
export type TaskProgress = PhaseProgress;

/** What the engine can be asked to do in a process of its own. Paths are absolute. */
export type EngineTask =
  | { readonly kind: 'inspectModel'; readonly modelPath: string }
  | { readonly kind: 'inspectDataset'; readonly dataset: DatasetReference }
  | { readonly kind: 'checkDataset'; readonly dataset: DatasetReference; readonly inputs: readonly TensorInfo[] }
  | { readonly kind: 'evaluate'; readonly request: EvaluateTaskRequest }
  | { readonly kind: 'quantize'; readonly request: QuantizeTaskRequest };

/** What {@link runTask} resolves with, by the kind of the task. */
export interface TaskResults {
  inspectModel: ModelInspection;
  inspectDataset: DatasetSummary;
  checkDataset: undefined;
  evaluate: Evaluation;
  quantize: Report;
}

/** A model to score on a dataset. */
export interface EvaluateTaskRequest {
  readonly modelPath: string;
  readonly evaluation: DatasetReference;
  readonly metric?: Metric | undefined;
  /** `ort`, stock onnxruntime, when left out. */
  readonly engine?: EngineName | undefined;
  /** Threads within one operator, 1 when left out. */
  readonly threads?: number | undefined;
}

/** A request to `quantize`; the scratch folder is the host's. */
export type QuantizeTaskRequest = Omit<QuantizeRequest, 'scratchDir'>;

/** A dataset's preprocess description as the engine takes it. */
export function preprocessOf(dataset: DatasetReference): Preprocess | null {
  return dataset.preprocess ?? null;
}
