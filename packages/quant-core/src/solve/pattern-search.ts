import type { GroupMetric } from './group-grid.js';

/**
 * The best ternary point of a small group, by trying all.
 *
 *   gain(t, c) = −loss = α̂ (2 |t·v| − α̂ tMtᵀ)      v = x·M,  α̂ = c·s
 *
 * For each of the (3ⁿ − 1)/2 patterns t, of which one sign is enough, the best code is the integer nearest to
 * |t·v| / (s tMtᵀ). Exact over all patterns and codes.
 */
export class PatternSearch {
  readonly #size: number;
  readonly #patterns: Int8Array;
  /** tMtᵀ of every pattern. */
  readonly #norms: Float64Array;

  constructor({ size, matrix }: GroupMetric) {
    this.#size = size;
    this.#patterns = patternsOf(size);
    this.#norms = normsOf(this.#patterns, size, matrix);
  }

  /**
   * Writes the best point to values[at, at + n) and returns its code; 0 for a group of zeros.
   * @param pull v
   */
  solve(pull: Float64Array, scale: number, largestCode: number, values: Float64Array, at: number): number {
    const patterns = this.#patterns;
    const norms = this.#norms;
    const size = this.#size;
    let bestGain = 0;
    let best = 0;
    let bestAlpha = 0;
    let bestCode = 0;
    for (let p = 0, k = 0; p < norms.length; p++) {
      let sum = 0;
      for (let i = 0; i < size; i++, k++) sum += patterns[k]! * pull[i]!;
      const magnitude = Math.abs(sum);
      const code = Math.min(Math.round(magnitude / (norms[p]! * scale)), largestCode);
      const alpha = code * scale;
      const gain = alpha * (2 * magnitude - alpha * norms[p]!);
      if (gain > bestGain) {
        bestGain = gain;
        best = p;
        bestAlpha = sum < 0 ? -alpha : alpha;
        bestCode = code;
      }
    }
    for (let i = 0; i < size; i++) values[at + i] = bestCode === 0 ? 0 : patterns[best * size + i]! * bestAlpha;
    return bestCode;
  }
}

const patternsBySize = new Map<number, Int8Array>();

/** All t ≠ 0 whose first non-zero element is +1, one after the other. */
function patternsOf(size: number): Int8Array {
  let patterns = patternsBySize.get(size);
  if (patterns === undefined) {
    const all: number[][] = [];
    for (let p = 1; p < 3 ** size; p++) {
      const pattern = Array.from({ length: size }, (_, i) => [0, 1, -1][Math.floor(p / 3 ** i) % 3]!);
      if (pattern.find((t) => t !== 0) === 1) all.push(pattern);
    }
    patterns = Int8Array.from(all.flat());
    patternsBySize.set(size, patterns);
  }
  return patterns;
}

function normsOf(patterns: Int8Array, size: number, matrix: Float64Array): Float64Array {
  const norms = new Float64Array(patterns.length / size);
  for (let p = 0; p < norms.length; p++) {
    let sum = 0;
    for (let i = 0; i < size; i++) {
      const ti = patterns[p * size + i]!;
      for (let j = 0; j < size; j++) sum += ti * patterns[p * size + j]! * matrix[i * size + j]!;
    }
    norms[p] = sum;
  }
  return norms;
}
