/**
 * Two candidates of a width for one step, and how much each counts, by which the choice is differentiable:
 *
 *   z_k = (ln π_k + g_k) / τ,   g ~ Gumbel(0, 1)          two are drawn by softmax(z), without replacement
 *   p = softmax(z_a, z_b)
 *   ∂L/∂α_a = −∂L/∂α_b = p_a p_b (∂L/∂p_a − ∂L/∂p_b) / τ
 *
 * Source: Dong and Yang 2019 (TAS), eqs. 3 and 4.
 */
import { probabilities } from './candidates.js';

export interface Pair {
  /** Positions among the candidates, ascending; one alone where there is no other. */
  readonly positions: readonly number[];
  /** p, one for each. */
  readonly shares: readonly number[];
}

/** @param random in [0, 1) */
export function samplePair(logits: Float64Array, temperature: number, random: () => number): Pair {
  if (logits.length === 1) return { positions: [0], shares: [1] };
  const noisy = probabilities(logits).map((share) => (Math.log(share) + gumbel(random)) / temperature);
  const first = draw(probabilities(noisy), random);
  const second = draw(probabilities(noisy.with(first, Number.NEGATIVE_INFINITY)), random);
  const positions = [first, second].toSorted((a, b) => a - b);
  const shares = probabilities(Float64Array.from(positions, (at) => noisy[at]!));
  return { positions, shares: [...shares] };
}

/**
 * The gradient by the logits of all candidates.
 * @param byShares gradient by the shares of the pair
 */
export function pairGradient(
  { positions, shares }: Pair,
  byShares: readonly number[],
  count: number,
  temperature: number,
): Float64Array {
  const gradient = new Float64Array(count);
  if (positions.length < 2) return gradient;
  const [a, b] = positions as [number, number];
  const slope = (shares[0]! * shares[1]! * (byShares[0]! - byShares[1]!)) / temperature;
  gradient[a] = slope;
  gradient[b] = -slope;
  return gradient;
}

function gumbel(random: () => number): number {
  return -Math.log(-Math.log(Math.max(random(), Number.MIN_VALUE)));
}

function draw(shares: Float64Array, random: () => number): number {
  let left = random();
  for (const [at, share] of shares.entries()) {
    left -= share;
    if (left < 0) return at;
  }
  return shares.findLastIndex((share) => share > 0);
}
