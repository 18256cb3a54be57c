import { stat } from 'node:fs/promises';
import { type ErrorCode, ModelSummary, TritforgeError } from '@tritforge/contracts';
import {
  checkDatasetInChild,
  type DatasetReference,
  inspectDatasetInChild,
  inspectModelInChild,
  type TaskOptions,
} from '@tritforge/quant-core/process';
import type { ApiConfig } from './config.js';
import type { DatasetFile, Inspector } from './inspector.js';
import { InspectionQueue } from './uploads/inspection-queue.js';
import { scratchDirOf } from './uploads/scratch.js';

/** Bytes for which a second is added to the time of an inspection. */
const BYTES_PER_SECOND = 64 * 2 ** 20;

/** Inspections give way to the API itself. */
const NICENESS = 5;

/** What ends a job, in the words of an upload. */
const INSPECTION_CODES: Partial<Record<ErrorCode, ErrorCode>> = {
  JOB_DEADLINE_EXCEEDED: 'INSPECTION_TIMEOUT',
  JOB_MEMORY_EXCEEDED: 'INSPECTION_MEMORY_EXCEEDED',
  JOB_CRASHED: 'INSPECTION_CRASHED',
};

/** The inspector that runs the engine in child processes, a few at a time. */
export function childInspector(config: ApiConfig): Inspector {
  const queue = new InspectionQueue(config.maxConcurrentInspections, config.maxWaitingInspections);

  async function inspect<T>(path: string, signal: AbortSignal, work: (options: TaskOptions) => Promise<T>): Promise<T> {
    const { size } = await stat(path);
    const wallClockMs = (config.inspectionSeconds + size / BYTES_PER_SECOND) * 1000;
    const limits = { memoryBytes: config.inspectionMemoryBytes, wallClockMs };
    return queue.run(signal, () =>
      work({ limits, signal, niceness: NICENESS, scratchRoot: scratchDirOf(config) }).catch((error) => {
        throw inspectionError(error, signal);
      }),
    );
  }

  return {
    inspectModel: (path, signal) =>
      inspect(path, signal, async (options) => summaryOf(await inspectModelInChild(path, options))),
    inspectDataset: (dataset, signal) =>
      inspect(dataset.path, signal, (options) => inspectDatasetInChild(reference(dataset), options)),
    checkDataset: (dataset, inputs, signal) =>
      inspect(dataset.path, signal, (options) => checkDatasetInChild(reference(dataset), inputs, options)),
  };
}

/** The fields that are stored and shown; the inspection also lists every layer. */
function summaryOf(inspection: ModelSummary): ModelSummary {
  const shown = Object.entries(inspection).filter(([key]) => Object.hasOwn(ModelSummary.properties, key));
  return Object.fromEntries(shown) as ModelSummary;
}

function reference({ path, preprocess }: DatasetFile): DatasetReference {
  return { path, ...(preprocess !== null && { preprocess }) };
}

function inspectionError(error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  if (!(error instanceof TritforgeError)) return error;
  const code = INSPECTION_CODES[error.code];
  if (code === undefined) return error;
  return new TritforgeError(code, `While the file was checked: ${error.message}`, { ...error.context, cause: error });
}
