/** How a classifier does on samples that it is not trained on. */
import { classScores, rankOf } from '../evaluate/class-scores.js';

export interface Judgement {
  /** Mean cross-entropy. */
  readonly loss: number;
  /** Percent of the rows whose label has the highest score. */
  readonly top1: number;
}

/** Adds up rows in float64, in the order in which they come. */
export class Judge {
  #loss = 0;
  #hits = 0;
  #rows = 0;

  /**
   * @param scores of some samples, one after the other
   * @param shape of the scores of one sample
   * @param labels one for each row, below 0 for those that do not count
   */
  add(scores: Float32Array, shape: readonly number[], labels: ArrayLike<number>): void {
    const samples = scores.length / shape.reduce((product, size) => product * size, 1);
    const rows = classScores({ dtype: 'float32', shape: [samples, ...shape], data: scores }, samples);
    for (let row = 0; row < samples * rows.positions; row++) {
      const label = labels[row]!;
      if (label < 0) continue;
      const [sample, position] = [Math.floor(row / rows.positions), row % rows.positions];
      const at = (c: number) => rows.values[rows.offset(sample, position) + c * rows.classStride]!;
      this.#loss += logSumExp(rows.classes, at) - at(label);
      if (rankOf(label, rows, sample, position) === 0) this.#hits++;
      this.#rows++;
    }
  }

  judgement(): Judgement {
    return { loss: this.#loss / this.#rows, top1: (100 * this.#hits) / this.#rows };
  }
}

function logSumExp(count: number, at: (i: number) => number): number {
  let most = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < count; i++) most = Math.max(most, at(i));
  let sum = 0;
  for (let i = 0; i < count; i++) sum += Math.exp(at(i) - most);
  return most + Math.log(sum);
}
