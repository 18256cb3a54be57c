/**
 * Parameters in training: latent floats θ that are updated, and what the artifact will compute with, Q(θ), which the network is run
 * with. The gradient of Q counts as that of the identity for weights (straight-through).
 *
 *   weight   Q(θ) is what the codes mean that are solved anew from θ by the method of the layer: nearest ternary or 4-bit codes of
 *            each group, or int8, with channel scales that leave room for the bias. Where scales are learned: learned-scales.ts
 *   bias     θ itself, and so gains of normalizations
 *   scale    e^θ, of a quantized activation or of weights: so it stays positive, and a step changes it by a share of itself
 */

import { type LatentWeight, rowsOf, valuesOf } from './latent-weight.js';
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
   * networks of all sizes. Where normalizations were folded into weights, channels of one tensor differ by orders of magnitude as well:
   * each has the size of its own weights, and its bias a size in proportion to them. Logarithms of scales, and weights in units of their
   * scales, are relative as they are.
   * @param start Q(θ)
   */
  groups(start: Float32Array, { kind }: OptimiserSettings): ParameterGroup[] {
    const latent = this.from(start);
    const sized = [
      ...this.weights.flatMap((weight) => sizesOfWeight(weight, latent)),
      ...this.#plain.flatMap((parameter) => sizesOfPlain(parameter, this.#layerOf(parameter), start)),
    ];
    const smallest = Math.min(...this.#tensorSizes(latent), 1);
    const group = ({ begin, end, size }: Sized): ParameterGroup => ({
      begin,
      end,
      rate: kind === 'sgd' ? (size || smallest) ** 2 : size || smallest,
      decay: 0,
    });
    const scales = this.#scales.map((parameter): Sized => ({ ...rangeOf(parameter), size: 1 }));
    return [...sized, ...scales].map(group).toSorted((a, b) => a.begin - b.begin);
  }

  /** The weight beside a bias. */
  #layerOf({ offset }: Parameter): LatentWeight | undefined {
    return this.weights.find(({ biases }) => biases.some(({ parameter }) => parameter.offset === offset));
  }

  /** Of tensors that are not all zero. */
  #tensorSizes(latent: Float32Array): number[] {
    const tensors = [...this.weights.map(({ parameter }) => parameter), ...this.#plain];
    return tensors.map((parameter) => rootMeanSquare(valuesOf(latent, parameter))).filter((size) => size > 0);
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

/** A range of the vector, and how large its values are; 0 where they say nothing of it. */
interface Sized {
  readonly begin: number;
  readonly end: number;
  readonly size: number;
}

/** By channels where they lie one after the other. */
function sizesOfWeight(weight: LatentWeight, latent: Float32Array): Sized[] {
  const { layer, parameter, scales } = weight;
  const isRelative = scales !== null && typeof scales !== 'string' && scales.of === 'groups';
  if (isRelative || layer.transposed)
    return [{ ...rangeOf(parameter), size: rootMeanSquare(valuesOf(latent, parameter)) }];
  const sizes = channelSizes(latent, weight);
  const length = parameter.length / sizes.length;
  return sizes.map((size, channel) => {
    const begin = parameter.offset + channel * length;
    return { begin, end: begin + length, size };
  });
}

/** By channels where it is the bias of a layer with them. */
function sizesOfPlain(parameter: Parameter, weight: LatentWeight | undefined, start: Float32Array): Sized[] {
  const size = rootMeanSquare(valuesOf(start, parameter));
  const ofWeights = weight === undefined ? [] : channelSizes(start, weight);
  const whole = rootMeanSquare(Float32Array.from(ofWeights));
  if (ofWeights.length !== parameter.length || whole === 0) return [{ ...rangeOf(parameter), size }];
  return ofWeights.map((own, channel) => {
    const begin = parameter.offset + channel;
    return { begin, end: begin + 1, size: (size * own) / whole };
  });
}

/** Root mean squares of the weights of each output channel. */
function channelSizes(vector: Float32Array, weight: LatentWeight): number[] {
  const rows = rowsOf(vector, weight);
  const { outputChannels } = weight.layer.layout;
  const length = rows.length / outputChannels;
  return Array.from({ length: outputChannels }, (_, channel) =>
    rootMeanSquare(rows.subarray(channel * length, (channel + 1) * length)),
  );
}

function rangeOf({ offset, length }: Parameter): Pick<Sized, 'begin' | 'end'> {
  return { begin: offset, end: offset + length };
}

function rootMeanSquare(values: Float32Array): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / Math.max(values.length, 1));
}
