/**
 * Step 2: the exact ternary approximation of one group of weights.
 *
 *   minimise ‖w − α t‖²  over  t ∈ {−1, 0, +1}^n,  α ≥ 0
 *
 *   k* = argmax over all k of S_k²/k        α = S_k* / k*        error = ‖w‖² − S_k*²/k*
 *   t_i = sign(w_i) where |w_i| is among the k* largest, else 0
 *
 * Source: the ternary problem of arXiv 1605.04711, equation 3, solved over sorted prefixes instead of by its threshold
 * heuristic. S_k²/k has more than one local maximum in about a tenth of Gaussian groups, so every k is tried.
 *
 * Ties. Equal magnitudes are kept or dropped together: with j of them added, (S + j a)²/(k + j) is convex in j and so
 * largest at one of its ends. Among equally good k the smallest wins (more zeros). The codes thus depend on magnitudes
 * alone, never on the order of the weights.
 */
export interface GroupSolution {
  /** Scale; 0 for a group of zeros. */
  readonly alpha: number;
  /** Non-zero codes, k*. */
  readonly count: number;
  /** t, in the order of the weights. */
  readonly codes: Int8Array;
  /** ‖w − α t‖². */
  readonly squaredError: number;
}

/**
 * k* of one group, 0 when all its weights are zero.
 * @param prefixSums S_k of the descending magnitudes at [start, start + length)
 */
export function bestPrefix(prefixSums: Float64Array, start: number, length: number): number {
  let best = 0;
  let bestGain = 0;
  for (let k = 1; k <= length; k++) {
    const sum = prefixSums[start + k - 1]!;
    const gain = (sum * sum) / k;
    if (gain > bestGain) {
      best = k;
      bestGain = gain;
    }
  }
  return best;
}

/**
 * Solves one group.
 *
 * @example solveGroup(Float32Array.of(0.9, -1.1, 0.1, 0)) // alpha 1, codes [1, -1, 0, 0]
 */
export function solveGroup(weights: Float32Array): GroupSolution {
  const magnitudes = weights.map(Math.abs).sort().reverse();
  const prefixSums = new Float64Array(weights.length);
  let sum = 0;
  magnitudes.forEach((magnitude, i) => {
    sum += magnitude;
    prefixSums[i] = sum;
  });
  const count = bestPrefix(prefixSums, 0, weights.length);
  const alpha = count === 0 ? 0 : prefixSums[count - 1]! / count;
  const smallestKept = count === 0 ? Number.POSITIVE_INFINITY : magnitudes[count - 1]!;
  const codes = Int8Array.from(weights, (w) => (Math.abs(w) >= smallestKept ? Math.sign(w) : 0));
  const squaredError = weights.reduce((total, w, i) => total + (w - alpha * codes[i]!) ** 2, 0);
  return { alpha, count, codes, squaredError };
}
