import type { DatasetSummary, ModelSummary, Preprocess, TensorInfo } from '@tritforge/contracts';

/** A dataset file and how its samples become model inputs. */
export interface DatasetFile {
  readonly path: string;
  readonly preprocess: Preprocess | null;
}

/**
 * Looks into uploaded files without trusting them: each call runs in a process of its own that is killed when it uses
 * too much memory or time, or when the signal aborts. Bad files are TritforgeErrors with a code of MODEL_* or DATASET_*.
 */
export interface Inspector {
  /** @param modelPath the .onnx file, its external data beside it under the names it refers to */
  inspectModel(modelPath: string, signal: AbortSignal): Promise<ModelSummary>;
  inspectDataset(dataset: DatasetFile, signal: AbortSignal): Promise<DatasetSummary>;
  /** Checks names, shapes and dtypes of the dataset's samples against the inputs of the model. */
  checkDataset(dataset: DatasetFile, inputs: readonly TensorInfo[], signal: AbortSignal): Promise<void>;
}
