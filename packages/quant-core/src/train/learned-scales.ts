/**
 * Scales of weights that are learned by gradient.
 *
 *   uniform   LSQ, of each channel. With codes v = clip(w / s) rounded to levels of at most n,
 *
 *               ŵ = v · s      ∂ŵ/∂w = 1, ∂ŵ/∂s = v − w / s where |w / s| ≤ n;      ∂ŵ/∂w = 0, ∂ŵ/∂s = ±n beyond
 *
 *   ternary   TTQ, of each group. Latent weights u are in units of the scale, so that a scale that moves changes no codes; solved
 *             for, it would move only as far as its weights happen to move together, which is little where gradients are noisy.
 *
 *               ŵ = t(u) · a      ∂ŵ/∂u = a, ∂ŵ/∂a = t
 *
 * Sources: Esser et al. 2020 (LSQ), eqs. 2, 3 and 5; Zhu et al. 2017 (TTQ), eqs. 7 and 8.
 */
import { groupsOfChannel } from '../fgq/index.js';
import { INT2_UNITS, LARGEST_INT2 } from '../int2/index.js';
import { type LatentWeight, type LearnedScales, rowsOf, setRows } from './latent-weight.js';

/** Makes the gradient by Q(θ) one by θ, and the scale it has. */
export function chainLearned(
  weight: LatentWeight,
  gradient: Float32Array,
  latent: Float32Array,
  values: Float32Array,
): void {
  const { scales } = weight;
  if (scales === null || typeof scales === 'string') return;
  gradient.fill(0, scales.offset, scales.offset + scales.length);
  const [rows, means] = [rowsOf(gradient, weight), rowsOf(values, weight)];
  if (scales.of === 'groups') {
    forEachScale(weight, scales, (scale, at) => {
      gradient[scale]! += rows[at]! * Math.sign(means[at]!);
      rows[at]! *= values[scale]!;
    });
  } else {
    const weights = rowsOf(latent, weight);
    forEachScale(weight, scales, (scale, at) => {
      const ratio = weights[at]! / values[scale]!;
      const isWithin = Math.abs(ratio) <= LARGEST_INT2;
      const slope = isWithin ? means[at]! / values[scale]! - ratio : Math.sign(ratio) * LARGEST_INT2;
      gradient[scale]! += rows[at]! * slope;
      if (!isWithin) rows[at] = 0;
    });
  }
  setRows(rows, weight, gradient);
}

/**
 * Writes the learned scales of a weight into a vector that has what its codes mean. A group without codes begins at half the least
 * scale that can be stored.
 * @param channelScales as artifacts store them, [OC]
 */
export function setScales(weight: LatentWeight, vector: Float32Array, channelScales: Float32Array): void {
  const { scales } = weight;
  if (scales === null || typeof scales === 'string') return;
  if (scales.of === 'channels') {
    // Of uniform weights.
    vector.set(
      channelScales.map((unit) => INT2_UNITS * unit),
      scales.offset,
    );
    return;
  }
  const perChannel = scales.length / channelScales.length;
  for (let i = 0; i < scales.length; i++) vector[scales.offset + i] = channelScales[Math.floor(i / perChannel)]! / 2;
  const rows = rowsOf(vector, weight);
  forEachScale(weight, scales, (scale, at) => {
    if (rows[at] !== 0) vector[scale] = Math.abs(rows[at]!);
  });
}

/** Writes θ of a weight whose scales are learned. @param values what codes mean, and the scales */
export function setLatent(weight: LatentWeight, values: Float32Array, latent: Float32Array): void {
  const { scales } = weight;
  if (scales === null || typeof scales === 'string' || scales.of === 'channels') return;
  const rows = rowsOf(values, weight);
  forEachScale(weight, scales, (scale, at) => {
    rows[at]! /= values[scale]!;
  });
  setRows(rows, weight, latent);
}

/** Multiplies what θ stands for, by one factor for each output channel; those below 0 turn signs around. */
export function multiplyChannels(latent: Float32Array, weight: LatentWeight, factors: Float64Array): void {
  const { scales } = weight;
  const rows = rowsOf(latent, weight);
  const size = rows.length / factors.length;
  let ofWeights = factors;
  if (scales !== null && typeof scales !== 'string') {
    const perChannel = scales.length / factors.length;
    for (let i = 0; i < scales.length; i++)
      latent[scales.offset + i]! += Math.log(Math.abs(factors[Math.floor(i / perChannel)]!));
    if (scales.of === 'groups') ofWeights = factors.map(Math.sign);
  }
  for (let i = 0; i < rows.length; i++) rows[i]! *= ofWeights[Math.floor(i / size)]!;
  setRows(rows, weight, latent);
}

/** @param visit is given the position of a scale in the vector, and in [OC, IC, taps] that of each weight with it */
function forEachScale(
  { layer: { layout }, applied }: LatentWeight,
  { of, offset }: LearnedScales,
  visit: (scale: number, at: number) => void,
): void {
  const groups = groupsOfChannel(layout, applied.groupSize ?? layout.inputChannels);
  const perChannel = of === 'channels' ? 1 : groups.groupCount;
  for (let oc = 0; oc < layout.outputChannels; oc++) {
    for (let j = 0; j < groups.groupCount; j++) {
      const scale = offset + oc * perChannel + (of === 'channels' ? 0 : j);
      const first = oc * groups.weightCount + groups.firstWeight[j]!;
      const end = first + groups.lengths[j]! * groups.stride;
      for (let at = first; at < end; at += groups.stride) visit(scale, at);
    }
  }
}
