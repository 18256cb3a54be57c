/**
 * What a convolution of a searched width puts out: those of its candidates, mixed. With Ô its outputs normalized by the batch, γ_k and β_k
 * of candidate k, M_k the interpolation of its channels to those of the larger one of the pair, and p their shares,
 *
 *   Y = Σ_k p_k M_k (γ_k ⊙ Ô + β_k) = K Ô + b,    K = Σ_k p_k M_k diag(γ_k),   b = Σ_k p_k M_k β_k
 *
 * so one 1×1 convolution mixes, and gradients by p, γ and β follow from those by K and b:
 *
 *   ∂L/∂p_k = ⟨∂L/∂K, M_k diag(γ_k)⟩ + ⟨∂L/∂b, M_k β_k⟩
 *   ∂L/∂γ_k = p_k diag(M_kᵀ ∂L/∂K)                          ∂L/∂β_k = p_k M_kᵀ ∂L/∂b
 *
 * Candidates share Ô, of which each takes the first channels, and so its statistics.
 *
 * Source: Dong and Yang 2019 (TAS), §3.2; the form as one convolution is derived.
 */
import type { Pair } from '../sample-pair.js';
import { neighbours } from './channel-interpolation.js';

/**
 * How the channels of a smaller candidate go into those of a larger one.
 *
 *   interpolate   spread over all of them, by means over neighbours: see channel-interpolation.ts
 *   mask          the first ones are the first ones: M = [I 0]ᵀ. Source: Wan et al. 2020 (FBNetV2), §3.1
 */
export type MixingMode = 'interpolate' | 'mask';

/** γ and β of a candidate: as long as it has channels. */
export interface Affine {
  readonly gain: Float32Array;
  readonly shift: Float32Array;
}

/** A layer in which all channels have to be mixed, [channels, channels] and [channels]. */
export interface Mixing {
  readonly matrix: Float32Array;
  readonly shift: Float32Array;
}

/** Writes K and b. @param affines by candidate */
export function mix(pair: Pair, affines: readonly Affine[], mode: MixingMode, { matrix, shift }: Mixing): void {
  matrix.fill(0);
  shift.fill(0);
  const size = shift.length;
  forEachShare(pair, affines, mode, ({ share, weight, at: [row, column] }, { gain, shift: own }) => {
    matrix[row * size + column]! += share * weight * gain[column]!;
    shift[row]! += share * weight * own[column]!;
  });
}

/**
 * Gradients by what K and b are made of.
 * @param gradient by K and b
 * @param byAffines by γ and β of each candidate; those of the pair are written
 * @returns the gradient by the shares of the pair
 */
export function mixGradient(
  pair: Pair,
  affines: readonly Affine[],
  mode: MixingMode,
  gradient: Mixing,
  byAffines: readonly Affine[],
): number[] {
  const size = gradient.shift.length;
  const byShares = pair.positions.map(() => 0);
  for (const position of pair.positions) {
    byAffines[position]!.gain.fill(0);
    byAffines[position]!.shift.fill(0);
  }
  forEachShare(pair, affines, mode, ({ index, share, weight, at: [row, column] }, { gain, shift }) => {
    const [byMatrix, byShift] = [gradient.matrix[row * size + column]!, gradient.shift[row]!];
    const own = byAffines[pair.positions[index]!]!;
    byShares[index]! += weight * (byMatrix * gain[column]! + byShift * shift[column]!);
    own.gain[column]! += share * weight * byMatrix;
    own.shift[column]! += share * weight * byShift;
  });
  return byShares;
}

/** One element of M_k. */
interface Element {
  /** Which of the pair. */
  readonly index: number;
  readonly share: number;
  readonly weight: number;
  readonly at: readonly [row: number, column: number];
}

function forEachShare(
  { positions, shares }: Pair,
  affines: readonly Affine[],
  mode: MixingMode,
  visit: (element: Element, affine: Affine) => void,
): void {
  const to = Math.max(...positions.map((position) => affines[position]!.gain.length));
  for (const [index, position] of positions.entries()) {
    const affine = affines[position]!;
    const from = affine.gain.length;
    const share = shares[index]!;
    if (mode === 'mask') {
      for (let i = 0; i < from; i++) visit({ index, share, weight: 1, at: [i, i] }, affine);
      continue;
    }
    for (let row = 0; row < to; row++) {
      const [begin, end] = neighbours(row, { from, to });
      for (let column = begin; column < end; column++)
        visit({ index, share, weight: 1 / (end - begin), at: [row, column] }, affine);
    }
  }
}
