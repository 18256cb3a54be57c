import type { Dataset, Model } from '@tritforge/contracts';
import { datasetPart, type FileSender, jsonPart, modelParts } from './files/form.js';
import type { DatasetFile, ModelFiles } from './files/sources.js';
import type { PostOptions } from './options.js';

/** Uploads a model; the same bytes give the same model. @throws as {@link FileSender.post} */
export function uploadModel(files: FileSender, model: ModelFiles, call: PostOptions): Promise<Model> {
  return files.post('/models', modelParts(model), call);
}

/** Uploads a dataset; the same bytes, preprocessed in the same way, give the same dataset. @throws as {@link FileSender.post} */
export function uploadDataset(files: FileSender, dataset: DatasetFile, call: PostOptions): Promise<Dataset> {
  const { preprocess } = dataset;
  const described = preprocess === undefined ? [] : [jsonPart('preprocess', preprocess)];
  return files.post('/datasets', [...described, datasetPart('data', dataset)], call);
}
