import { Readable } from 'node:stream';
import type { Dataset, DatasetSummary, Model, ModelSummary, Report } from '@tritforge/contracts';
import type { StagedBlob } from '../blobs/blob-storage.js';
import type { JobClaim, Worker } from '../jobs/job-repository.js';
import type { NewArtifact } from '../repositories/artifacts.js';
import type { Store } from '../store.js';

/** A worker that claims jobs in tests. */
export const WORKER: Worker = { id: 'worker-1', engineVersion: '0.1.0' };

/** A summary as an inspection gives it. */
export const MODEL_SUMMARY: ModelSummary = {
  irVersion: 8,
  opset: 17,
  producer: null,
  parameters: 10,
  nodes: 1,
  macs: null,
  operators: { Conv: 1 },
  inputs: [{ name: 'x', dtype: 'float32', shape: [1, 3, 8, 8] }],
  outputs: [{ name: 'y', dtype: 'float32', shape: [1, 10] }],
  quantizableLayers: 1,
};

/** A summary as the reader of datasets gives it. */
export const DATASET_SUMMARY: DatasetSummary = { format: 'npz', samples: 2, labels: null, arrays: [] };

/** Stages a text. */
export function stageText(store: Store, text: string): Promise<StagedBlob> {
  return store.blobs.stage(Readable.from([Buffer.from(text)]));
}

/** Uploads a model whose .onnx file has the given bytes. */
export async function addModel(store: Store, text: string): Promise<Model> {
  const files = [{ name: 'model.onnx', blob: await stageText(store, text) }];
  return (await store.models.create({ files, summary: MODEL_SUMMARY })).value;
}

/** Uploads a dataset with the given bytes. */
export async function addDataset(store: Store, text: string): Promise<Dataset> {
  const file = { name: 'data.npz', blob: await stageText(store, text) };
  return (await store.datasets.create({ file, preprocess: null, summary: DATASET_SUMMARY })).value;
}

/** Creates a job on the model and claims it. */
export async function startJob(store: Store, modelId: string): Promise<JobClaim> {
  const { id } = await store.jobs.create({ modelId, recipe: {} });
  const claim = await store.jobs.claim(id, WORKER);
  if (!claim) throw new Error(`the new job ${id} could not be claimed`);
  return claim;
}

/** An artifact with the given bytes. */
export async function makeArtifact(store: Store, text: string): Promise<NewArtifact> {
  return {
    profile: 'portable',
    opset: 14,
    irVersion: 8,
    requires: { onnxruntime: '>=1.21', ops: null },
    bitsPerWeight: { quantizedLayers: 2.5, wholeModel: 3 },
    files: [{ name: 'model.portable.onnx', blob: await stageText(store, text) }],
  };
}

/** A report of a model without layers. */
export const REPORT: Report = {
  model: { digest: '', sizeBytes: 1, parameters: 1, opset: 17, nodes: 1, macs: null },
  artifacts: [],
  baseline: null,
  accuracy: null,
  latency: null,
  layers: [],
  kept: [],
  gates: [],
  warnings: [],
  provenance: { engineVersion: '0.1.0', onnxruntimeVersion: '1.30.0', recipe: {}, seed: 0, datasets: [] },
};
