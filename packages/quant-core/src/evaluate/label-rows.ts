import { TritforgeError } from '@tritforge/contracts';
import { hostFloats, isFloating } from '../runtime/host-floats.js';
import type { HostTensor } from '../runtime/runtime.js';
import type { ClassScores } from './class-scores.js';

/**
 * Class or token labels as numbers, one per position of the scores; integers are exact up to 2^53.
 * @throws TritforgeError DATASET_LABELS_MISSING without labels, METRIC_UNSUPPORTED when their number is another,
 * DATASET_LABELS_INVALID when one is no class of the scores
 */
export function classLabels(metric: string, labels: HostTensor | null, scores: ClassScores): ArrayLike<number> {
  if (labels === null) throw labelsMissing(metric);
  const values = labelNumbers(labels);
  if (values.length !== scores.samples * scores.positions) {
    throw new TritforgeError(
      'METRIC_UNSUPPORTED',
      `labels have shape [${labels.shape.join(', ')}], the output holds ${scores.positions} row(s) of class scores for each of ${scores.samples} sample(s)`,
      {
        field: 'labels',
        remediation: 'Give one class index per sample, or one per token where the model scores every token.',
      },
    );
  }
  for (const label of values) {
    if (label >= scores.classes || !Number.isInteger(label)) {
      throw new TritforgeError(
        'DATASET_LABELS_INVALID',
        `label ${label} is no class index: the model has ${scores.classes} classes`,
        { field: 'labels' },
      );
    }
  }
  return values;
}

/** Labels of any dtype as numbers. */
export function labelNumbers(labels: HostTensor): Float32Array | Float64Array {
  return isFloating(labels.dtype)
    ? hostFloats(labels)
    : Float64Array.from(labels.data as ArrayLike<number | bigint>, Number);
}

/** The error for what needs labels when the dataset has none. */
export function labelsMissing(what: string): TritforgeError {
  return new TritforgeError('DATASET_LABELS_MISSING', `${what} needs labels and the dataset has none`, {
    field: 'metric',
    remediation:
      'Add an array "labels" or a csv of labels to the dataset. Without labels only "agreement" and "mse" can be measured, and only against an original model.',
  });
}
