/**
 * How far an output of the quantized model is from that of the original: the damage.
 *
 *   kl           Σ_c p_c · ln(p_c / q_c), mean over samples and positions; p, q the class probabilities of original and quantized
 *   relativeMse  Σ (x − y)² / Σ (x − x̄)²
 *
 * Scores that are no probabilities yet go through a softmax.
 */
import type { Recommendation } from '@tritforge/contracts';
import { type ClassScores, classScores } from '../evaluate/class-scores.js';
import { hostFloats } from '../runtime/host-floats.js';
import type { HostTensor } from '../runtime/runtime.js';

/** The unit of damage. */
export type DamageMeasure = Recommendation['measure'];

/** Adds up the distance over runs. */
export interface OutputDistance {
  /** @param samples in the run; dimension 0 counts them */
  add(original: HostTensor, quantized: HostTensor, samples: number): void;
  /** {@link UNUSABLE} where an output was not finite. */
  value(): number;
}

/** Damage of a network whose outputs are NaN or infinite; a number, so that sums of damages and JSON can have it. */
export const UNUSABLE = 1e9;

export function outputDistance(measure: DamageMeasure): OutputDistance {
  return measure === 'kl' ? new Divergence() : new RelativeError();
}

/** Rows whose sum is so near to 1, all entries being non-negative, are probabilities. */
const PROBABILITY_TOLERANCE = 1e-3;
/** Probabilities that float32 made zero. */
const SMALLEST_PROBABILITY = 1e-12;

class Divergence implements OutputDistance {
  #sum = 0;
  #rows = 0;

  add(original: HostTensor, quantized: HostTensor, samples: number): void {
    const [p, q] = [classScores(original, samples), classScores(quantized, samples)];
    const read = isProbabilities(p) ? logarithms : logSoftmax;
    for (let sample = 0; sample < samples; sample++) {
      for (let position = 0; position < p.positions; position++) {
        this.#sum += divergence(read(p, sample, position), read(q, sample, position));
        this.#rows++;
      }
    }
  }

  value(): number {
    const mean = this.#sum / Math.max(this.#rows, 1);
    return Number.isFinite(mean) ? Math.max(mean, 0) : UNUSABLE;
  }
}

function isProbabilities(scores: ClassScores): boolean {
  const row = rowOf(scores, 0, 0);
  return row.every((value) => value >= 0) && Math.abs(row.reduce((a, b) => a + b, 0) - 1) < PROBABILITY_TOLERANCE;
}

function rowOf(scores: ClassScores, sample: number, position: number): Float64Array {
  const start = scores.offset(sample, position);
  return Float64Array.from({ length: scores.classes }, (_, c) => scores.values[start + c * scores.classStride]!);
}

function logarithms(scores: ClassScores, sample: number, position: number): Float64Array {
  return rowOf(scores, sample, position).map((value) => Math.log(Math.max(value, SMALLEST_PROBABILITY)));
}

function logSoftmax(scores: ClassScores, sample: number, position: number): Float64Array {
  const row = rowOf(scores, sample, position);
  const highest = row.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
  const total = row.reduce((sum, value) => sum + Math.exp(value - highest), 0);
  return row.map((value) => value - highest - Math.log(total));
}

/** Between rows of logarithms. */
function divergence(p: Float64Array, q: Float64Array): number {
  let sum = 0;
  for (let c = 0; c < p.length; c++) sum += Math.exp(p[c]!) * (p[c]! - q[c]!);
  return sum;
}

class RelativeError implements OutputDistance {
  #error = 0;
  #sum = 0;
  #squares = 0;
  #count = 0;

  add(original: HostTensor, quantized: HostTensor): void {
    const [x, y] = [hostFloats(original), hostFloats(quantized)];
    for (let i = 0; i < x.length; i++) {
      this.#error += (x[i]! - y[i]!) ** 2;
      this.#sum += x[i]!;
      this.#squares += x[i]! ** 2;
    }
    this.#count += x.length;
  }

  value(): number {
    if (this.#error === 0) return 0;
    const relative = this.#error / (this.#squares - this.#sum ** 2 / this.#count);
    return Number.isFinite(relative) && relative >= 0 ? relative : UNUSABLE;
  }
}
