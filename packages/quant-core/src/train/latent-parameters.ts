/**
 * Parameters in training: latent floats θ that are updated, and what the artifact will compute with, Q(θ), which the network is run
 * with. The gradient of Q counts as that of the identity for weights (straight-through).
 *
 *   weight   Q(θ) is what the codes mean that are solved anew from θ by the method of the layer: nearest ternary or 4-bit codes of
 *            each group, or int8, with channel scales that leave room for the bias. Where scales are learned: learned-scales.ts
 *   bias     θ itself, and so gains of normalizations
 *   scale    e^θ, of a quantized activation or of weights: so it stays positive, and a step changes it by a share of itself
 */

import { type LatentWeight, valuesOf } from './latent-weight.js';
import { chainLearned, setLatent } from './learned-scales.js';
import type { OptimiserSettings, ParameterGroup } from './optimisers.js';
import { type Parameter, vectorLength } from './parameter-vector.js';

/** Keeps scales that run away positive and finite. */
const MOST = 20;

export class LatentParameters {
  readonly weights: readonly LatentWeight[];
  readonly #plain: readonly Parameter[];
  readonly #scales: readonly Parameter[];

  /**
   * @param plain what is trained as it is
   * @param scales of activations
   */
  constructor(weights: readonly LatentWeight[], plain: readonly Parameter[], scales: readonly Parameter[]) {
    this.weights = weights;
    this.#plain = plain;
    this.#scales = scales;
  }

  /** Of all of them together. */
  get length(): number {
    const all = [...this.weights.map(({ parameter }) => parameter), ...this.#plain, ...this.#scales];
    return vectorLength(all);
  }

  /**
   * Each tensor learns as if it had been divided by its root mean square at the start, so that one learning rate suits layers and
   * networks of all sizes. Logarithms of scales are relative as they are.
   * @param start Q(θ)
   */
  groups(start: Float32Array, { kind }: OptimiserSettings): ParameterGroup[] {
    const group = ({ offset, length }: Parameter, size: number): ParameterGroup => ({
      begin: offset,
      end: offset + length,
      rate: kind === 'sgd' ? size ** 2 : size,
      decay: 0,
    });
    const weights = this.weights.map(({ parameter }) => parameter);
    const latent = this.from(start);
    const sizes = [...weights, ...this.#plain].map((parameter) => rootMeanSquare(valuesOf(latent, parameter)));
    const smallest = Math.min(...sizes.filter((size) => size > 0), 1);
    return [
      ...[...weights, ...this.#plain].map((parameter, i) => group(parameter, sizes[i]! || smallest)),
      ...this.#scales.map((parameter) => group(parameter, 1)),
    ].toSorted((a, b) => a.begin - b.begin);
  }

  /** θ that stands for what a network computes with. */
  from(values: Float32Array): Float32Array {
    const latent = values.slice();
    for (const weight of this.weights) setLatent(weight, values, latent);
    for (const i of this.#positionsOfScales()) latent[i] = Math.log(values[i]!);
    return latent;
  }

  /** Writes Q(θ) of everything but weights: see {@link projectWeight}. */
  project(latent: Float32Array, values: Float32Array): void {
    for (const { offset, length } of this.#plain) values.set(latent.subarray(offset, offset + length), offset);
    for (const i of this.#positionsOfScales()) values[i] = Math.exp(Math.max(Math.min(latent[i]!, MOST), -MOST));
  }

  /** The weights in so many parts of about equal size, by their positions. */
  shares(count: number): number[][] {
    const shares = Array.from({ length: count }, () => ({ weights: [] as number[], size: 0 }));
    const bySize = this.weights
      .map(({ parameter }, i) => ({ i, size: parameter.length }))
      .sort((a, b) => b.size - a.size);
    for (const { i, size } of bySize) {
      const least = shares.reduce((best, share) => (share.size < best.size ? share : best));
      least.weights.push(i);
      least.size += size;
    }
    return shares.map(({ weights }) => weights);
  }

  /** Makes the gradient by Q(θ) one by θ. */
  chain(gradient: Float32Array, latent: Float32Array, values: Float32Array): void {
    for (const weight of this.weights) chainLearned(weight, gradient, latent, values);
    for (const i of this.#positionsOfScales()) gradient[i]! *= values[i]!;
  }

  *#positionsOfScales(): Generator<number> {
    for (const { offset, length } of this.#scales) for (let i = offset; i < offset + length; i++) yield i;
  }
}

function rootMeanSquare(values: Float32Array): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / Math.max(values.length, 1));
}
