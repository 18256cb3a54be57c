/** Start here: runs the engine in a process that can be killed, and wraps each kind of task. */
import { tmpdir } from 'node:os';
import type { DatasetSummary, Report, TensorInfo } from '@tritforge/contracts';
import type { Evaluation } from '../evaluate/index.js';
import type { ModelInspection } from '../inspect.js';
import type { DatasetReference } from '../quantize-request.js';
import type { EngineTask, EvaluateTaskRequest, QuantizeTaskRequest, TaskResults } from './engine-task.js';
import { type RunOptions, runInProcess } from './run-in-process.js';
import { withScratchDirectory } from './scratch-directory.js';

/** How to run a task of the engine. */
export interface TaskOptions extends RunOptions {
  /**
   * Where the task's scratch folder is made; the system's folder for temporary files when left out. For `quantize` it
   * must be on the file system of the output folder.
   */
  readonly scratchRoot?: string | undefined;
}

const CHILD = new URL('./child.js', import.meta.url);

/**
 * Runs one task in a new process with limits. Whatever the model does to that process, this one is safe; nothing of the
 * process or its scratch folder remains once the promise is settled.
 *
 * @throws TritforgeError what the task throws; CANCELED after an abort; JOB_DEADLINE_EXCEEDED, JOB_MEMORY_EXCEEDED,
 *   JOB_DISK_EXCEEDED; JOB_CRASHED, which says the phase, when the process died
 * @example
 * const summary = await runTask({ kind: 'inspectModel', modelPath }, { limits: { memoryBytes: 2 ** 30, wallClockMs: 30_000 } });
 */
export function runTask<Task extends EngineTask>(task: Task, options: TaskOptions): Promise<TaskResults[Task['kind']]> {
  return withScratchDirectory(
    options.scratchRoot ?? tmpdir(),
    (scratchDir) => runInProcess(CHILD, task, scratchDir, options) as Promise<TaskResults[Task['kind']]>,
  );
}

/** Reads and validates an .onnx file, its external data beside it. @throws TritforgeError MODEL_*, and as {@link runTask} */
export function inspectModelInChild(modelPath: string, options: TaskOptions): Promise<ModelInspection> {
  return runTask({ kind: 'inspectModel', modelPath }, options);
}

/** Checks a dataset file as a whole. @throws TritforgeError DATASET_*, PREPROCESS_INVALID, and as {@link runTask} */
export function inspectDatasetInChild(dataset: DatasetReference, options: TaskOptions): Promise<DatasetSummary> {
  return runTask({ kind: 'inspectDataset', dataset }, options);
}

/**
 * Checks that the samples of a dataset fit a model's inputs.
 * @throws TritforgeError DATASET_NAME_MISMATCH, DATASET_SHAPE_MISMATCH, DATASET_DTYPE_MISMATCH, and as {@link inspectDatasetInChild}
 */
export async function checkDatasetInChild(
  dataset: DatasetReference,
  inputs: readonly TensorInfo[],
  options: TaskOptions,
): Promise<void> {
  await runTask({ kind: 'checkDataset', dataset, inputs }, options);
}

/** Scores and times a model. @throws TritforgeError as `evaluateModel` and {@link runTask} */
export function evaluateInChild(request: EvaluateTaskRequest, options: TaskOptions): Promise<Evaluation> {
  return runTask({ kind: 'evaluate', request }, options);
}

/** Quantizes a model into `request.outputDir`. @throws TritforgeError as `quantize` and {@link runTask} */
export function quantizeInChild(request: QuantizeTaskRequest, options: TaskOptions): Promise<Report> {
  return runTask({ kind: 'quantize', request }, options);
}
