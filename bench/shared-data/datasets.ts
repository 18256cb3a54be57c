import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Metric } from '@tritforge/contracts';
import { sharedData } from '@tritforge/quant-core/testing';

/** A line of `datasets.json`: a model of TRITFORGE_TEST_DATA and the names of the files made for it. */
export interface DatasetEntry {
  readonly model: string;
  readonly calibration: string;
  /** A larger set than the one for calibration. */
  readonly training?: string;
  readonly evaluation: string;
  /** More sets that the model is evaluated on, with the same metric and preprocessing. */
  readonly furtherEvaluations?: readonly string[];
  readonly metric: Metric;
  /** A file of a preprocess description. */
  readonly preprocess: string | null;
}

/** A model of `datasets.json`, with absolute paths. */
export interface RealModel {
  readonly name: string;
  readonly modelPath: string;
  readonly calibration: string;
  readonly training: string | null;
  readonly evaluation: string;
  readonly furtherEvaluations: readonly string[];
  readonly preprocess: string | null;
  readonly metric: Metric;
}

/** The models of a folder that the benchmark `shared-data` made. */
export async function readModels(sets: string): Promise<RealModel[]> {
  const list = path.join(sets, 'datasets.json');
  const entries = JSON.parse(await readFile(list, 'utf8')) as DatasetEntry[];
  const inSets = (name: string) => path.join(sets, name);
  return entries.map(({ model, metric, furtherEvaluations = [], ...files }) => ({
    name: model.replace(/\.onnx$/, ''),
    modelPath: sharedData('models', model),
    calibration: inSets(files.calibration),
    training: files.training === undefined ? null : inSets(files.training),
    evaluation: inSets(files.evaluation),
    furtherEvaluations: furtherEvaluations.map(inSets),
    preprocess: files.preprocess === null ? null : inSets(files.preprocess),
    metric,
  }));
}
