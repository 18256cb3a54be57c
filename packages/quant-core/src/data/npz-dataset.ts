/**
 * Datasets of arrays. An .npz is a zip of .npy files: an array for every input of the model, named as the input, and
 * optionally `labels`. Dimension 0 of each counts the samples. Values are read from the file as batches ask for them.
 */
import { type DatasetSummary, type Preprocess, TritforgeError } from '@tritforge/contracts';
import type { HostTensor } from '../runtime/runtime.js';
import { type Archive, tooLarge } from './archive.js';
import { type Batch, batchIndices, type Dataset } from './dataset.js';
import type { DatasetLimits } from './limits.js';
import { checkArrayChannels, normalizeArray } from './normalize.js';
import { type NpyArray, openArray, readSamples, sampleBytesOf } from './npy-array.js';
import { countClasses, LABELS, labelDtype, readLabels } from './npz-labels.js';
import { checkPreprocess } from './preprocess-check.js';
import { preprocessedArray } from './preprocess-target.js';

const EXTENSION = '.npy';

/** Whether all members of an archive are arrays. */
export function isNpz(archive: Archive): boolean {
  const { members } = archive;
  return archive.format === 'zip' && members.length > 0 && members.every(({ name }) => name.endsWith(EXTENSION));
}

/**
 * Opens the arrays of an archive. The dataset does not own the archive.
 * @throws TritforgeError DATASET_ARRAY_INVALID, DATASET_DTYPE_UNSUPPORTED, DATASET_LENGTH_MISMATCH, DATASET_EMPTY,
 *   DATASET_LABELS_INVALID, DATASET_TOO_LARGE, PREPROCESS_INVALID
 */
export async function openNpz(
  archive: Archive,
  preprocess: Preprocess | null,
  limits: DatasetLimits,
): Promise<Omit<Dataset, 'close'>> {
  if (preprocess !== null) checkPreprocess(preprocess, 'arrays');
  const all: NpyArray[] = [];
  for (const member of archive.members) {
    all.push(await openArray(member.name.slice(0, -EXTENSION.length), await member.open()));
  }
  const labels = all.find(({ name }) => name === LABELS) ?? null;
  const arrays = all.filter((array) => array !== labels);
  const samples = checkArrays(arrays, labels);
  const sampleBytes = all.reduce((sum, array) => sum + sampleBytesOf(array), 0);
  if (sampleBytes > limits.maxSampleBytes) throw tooLarge(`one sample takes ${sampleBytes} bytes`);
  const infos = arrays.map(({ name, dtype, shape }) => ({ name, dtype, shape: [...shape] }));
  const target = preprocessedArray(infos, preprocess);
  if (target !== null) checkArrayChannels(target, arrays.find(({ name }) => name === target)!.shape, preprocess!);
  const summary: DatasetSummary = {
    format: 'npz',
    samples,
    labels: labels && { dtype: labelDtype(labels), classes: await countClasses(labels) },
    arrays: infos,
  };
  return {
    summary,
    preprocess,
    sampleCount: samples,
    async *batches(options) {
      for (const indices of batchIndices(samples, options)) {
        yield await readBatch(arrays, labels, indices, target, preprocess);
      }
    },
  };
}

/** Every array counts the same samples in dimension 0. */
function checkArrays(arrays: readonly NpyArray[], labels: NpyArray | null): number {
  const first = arrays[0];
  if (first === undefined) throw new TritforgeError('DATASET_EMPTY', 'the .npz has no array but labels');
  for (const { name, shape } of labels === null ? arrays : [...arrays, labels]) {
    if (shape.length === 0) {
      throw new TritforgeError('DATASET_ARRAY_INVALID', `array '${name}' is a single value`, {
        field: name,
        remediation: 'Give it one value per sample.',
      });
    }
    if (shape.includes(0)) {
      throw new TritforgeError('DATASET_EMPTY', `array '${name}' [${shape.join(', ')}] has no values`, { field: name });
    }
    if (shape[0] !== first.shape[0]) {
      throw new TritforgeError(
        'DATASET_LENGTH_MISMATCH',
        `array '${name}' has ${shape[0]} samples and array '${first.name}' has ${first.shape[0]}`,
        { field: name, remediation: 'Dimension 0 counts the samples and must be the same in every array.' },
      );
    }
  }
  return first.shape[0]!;
}

async function readBatch(
  arrays: readonly NpyArray[],
  labels: NpyArray | null,
  indices: readonly number[],
  target: string | null,
  preprocess: Preprocess | null,
): Promise<Batch> {
  const inputs = new Map<string, HostTensor>();
  for (const array of arrays) {
    const stored = await readSamples(array, indices);
    inputs.set(array.name, array.name === target ? normalizeArray(target, stored, preprocess!) : stored);
  }
  return { inputs, labels: labels && (await readLabels(labels, indices)), count: indices.length };
}
