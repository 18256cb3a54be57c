import { TritforgeError } from '@tritforge/contracts';
import type { HostTensor } from '../runtime/runtime.js';
import { castTensor } from './cast.js';
import { type NpyArray, readSamples, sampleBytesOf } from './npy-array.js';

/** The array of an .npz that holds labels. No input of a model can have this name. */
export const LABELS = 'labels';

/** A label that metrics skip, such as the padding of token sequences. */
export const IGNORED_LABEL = -1;

const CHUNK_BYTES = 4 * 2 ** 20;

/** Labels are classes when they are integers, and values to compare with when they are floats. */
export function labelDtype(labels: NpyArray): 'int64' | 'float32' {
  return labels.dtype.startsWith('float') ? 'float32' : 'int64';
}

/** Labels of samples, as int64 or float32. */
export async function readLabels(labels: NpyArray, indices: readonly number[]): Promise<HostTensor> {
  return castTensor(await readSamples(labels, indices), labelDtype(labels), LABELS);
}

/**
 * Reads all labels once.
 * @returns the number of classes, one more than the largest label; null for floats
 * @throws TritforgeError DATASET_LABELS_INVALID for a label below {@link IGNORED_LABEL}
 */
export async function countClasses(labels: NpyArray): Promise<number | null> {
  if (labelDtype(labels) === 'float32') return null;
  const rowBytes = sampleBytesOf(labels);
  const rows = labels.shape[0]!;
  const chunkRows = Math.max(1, Math.floor(CHUNK_BYTES / rowBytes));
  let largest = -1n;
  for (let start = 0; start < rows; start += chunkRows) {
    const length = Math.min(chunkRows, rows - start);
    const chunk = await readLabels(
      labels,
      Array.from({ length }, (_, i) => start + i),
    );
    const data = chunk.data as BigInt64Array;
    for (const [i, label] of data.entries()) {
      if (label > largest) largest = label;
      if (label < IGNORED_LABEL) throw negativeLabel(label, start + Math.floor((i * length) / data.length));
    }
  }
  if (largest > Number.MAX_SAFE_INTEGER) throw labelsInvalid(`label ${largest} is no class`);
  return Number(largest) + 1;
}

function negativeLabel(label: bigint, sample: number): TritforgeError {
  return labelsInvalid(`sample ${sample} has the label ${label}`);
}

function labelsInvalid(what: string): TritforgeError {
  return new TritforgeError('DATASET_LABELS_INVALID', what, {
    field: LABELS,
    remediation: `Labels are class numbers from 0; ${IGNORED_LABEL} is skipped.`,
  });
}
