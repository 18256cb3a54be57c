import { TritforgeError } from '@tritforge/contracts';
import { elementCount } from '../ir/index.js';
import { hostFloats, isFloating } from '../runtime/host-floats.js';
import type { HostTensor } from '../runtime/runtime.js';

/**
 * An output read as class scores: `samples` × `positions` rows of `classes` numbers. Images have one position per
 * sample, token sequences one per token, segmentations one per pixel.
 */
export interface ClassScores {
  readonly samples: number;
  readonly positions: number;
  readonly classes: number;
  readonly values: Float32Array | Float64Array;
  /** Index in `values` of the first class of a row. */
  offset(sample: number, position: number): number;
  /** Distance in `values` between classes of a row. */
  readonly classStride: number;
}

/**
 * Which axis of an output holds the classes, or null when none does. The first axis counts samples. Trailing axes of
 * size 1 do not count, so that [N, C, 1, 1] is [N, C]. Then [N, C] has them on axis 1, [N, T, C] on axis 2 (tokens) and
 * outputs of more axes on axis 1, [N, C, H, W]. One class alone is none. Unknown sizes are taken to be large.
 */
export function classAxis(shape: readonly (number | string | null)[]): number | null {
  let rank = shape.length;
  while (rank > 2 && shape[rank - 1] === 1) rank--;
  if (rank < 2) return null;
  const axis = rank === 3 ? 2 : 1;
  return shape[axis] === 1 ? null : axis;
}

/**
 * Reads an output as class scores; nothing is copied.
 * @param samples how many samples the output holds; for one, the sample axis may be missing
 * @throws TritforgeError METRIC_UNSUPPORTED when the output has no class axis
 */
export function classScores(output: HostTensor, samples: number): ClassScores {
  const shape = samples === 1 && output.shape.length === 1 ? [1, ...output.shape] : output.shape;
  const axis = isFloating(output.dtype) ? classAxis(shape) : null;
  if (axis === null || shape[0] !== samples) throw noClasses(output, samples);
  const classes = shape[axis] as number;
  const classStride = elementCount(shape.slice(axis + 1));
  const outerPositions = elementCount(shape.slice(1, axis));
  return {
    samples,
    positions: outerPositions * classStride,
    classes,
    values: hostFloats(output),
    classStride,
    offset(sample, position) {
      const outer = Math.floor(position / classStride);
      return (sample * outerPositions + outer) * classes * classStride + (position % classStride);
    },
  };
}

function noClasses(output: HostTensor, samples: number): TritforgeError {
  return new TritforgeError(
    'METRIC_UNSUPPORTED',
    `the output has shape [${output.shape.join(', ')}] and type ${output.dtype} for ${samples} sample(s): no axis of it holds classes`,
    {
      field: 'metric',
      remediation: 'Ask for the metric "mse", or evaluate a model whose first output is [N, classes].',
    },
  );
}

/** Index of the largest score of a row, of equals the first; -1 when the row has a NaN. */
export function topClass(scores: ClassScores, sample: number, position: number): number {
  const { values, classes, classStride } = scores;
  const start = scores.offset(sample, position);
  let best = 0;
  for (let c = 0; c < classes; c++) {
    const value = values[start + c * classStride] as number;
    if (Number.isNaN(value)) return -1;
    if (value > (values[start + best * classStride] as number)) best = c;
  }
  return best;
}

/**
 * How many classes of a row rank above `label`: a larger score, or an equal one and a smaller index. All of them when
 * the row has a NaN.
 */
export function rankOf(label: number, scores: ClassScores, sample: number, position: number): number {
  const { values, classes, classStride } = scores;
  const start = scores.offset(sample, position);
  const own = values[start + label * classStride] as number;
  let above = 0;
  for (let c = 0; c < classes; c++) {
    const value = values[start + c * classStride] as number;
    if (Number.isNaN(value)) return classes;
    if (value > own || (value === own && c < label)) above++;
  }
  return above;
}
