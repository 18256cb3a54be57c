/**
 * Cross-layer equalization: what a layer A gives out is scaled per channel, and the next layer B, or all of them, undo it.
 *
 *   B · φ(A x + a)    ⇒    (B F⁻¹) · φ((F A) x + F a)        F = diag(f), f > 0
 *
 * exact where φ is positively homogeneous, φ(f x) = f φ(x): Relu, LeakyRelu, PRelu, pooling, or nothing at all. A channel that is
 * small before B, with weights in B that are large in return, gets few levels where all channels share one scale, and its weights
 * take the resolution from those beside them. With m the largest magnitude of the channel and r the largest share that it
 * has in a row of B, values and weights meet halfway:
 *
 *   f = k √(r / m)        k such that the largest value stays as large
 *
 * r is a share because rows of B have scales of their own. Where they have one input channel (depthwise), weights lose nothing by f,
 * and all channels become equally large: f = k / m. Without maxima of the values, those of A's rows stand for m.
 *
 * Clip(0, u), or Relu6, is not homogeneous: a scaled channel is clipped at u / f. With known maxima nothing that was seen is
 * clipped as long as f m ≤ u, just as in calibrated ranges; channels that reach u stay as they are. So a Clip is passed only with
 * maxima, and the network then computes the same only within them.
 *
 * Source: Nagel et al., Data-free quantization, arXiv 1906.04721, section 4.1; with maxima of values: Xiao et al., SmoothQuant,
 * arXiv 2211.10438, section 4.
 */
import { type Model, NameAllocator, type Node, tensorFromFloats } from '../ir/index.js';
import type { ScratchTensors } from '../scratch-tensors.js';
import { type ChannelWeight, readChannelWeight } from './channel-weight.js';
import { removeUnused } from './edit-graph.js';
import { findLayerPairs, type LayerPair } from './layer-pairs.js';

/** The largest magnitude per channel (axis 1) of the values of {@link findLayerPairs}, by name. */
export type ChannelMaxima = ReadonlyMap<string, Float32Array>;

/** A channel counts as having at least this share of the largest value: on other data it may not be silent. */
const SMALLEST_SHARE = 2 ** -10;

/**
 * Equalizes all pairs of layers of the main graph, in place. Weights that others use too are copied.
 * @returns whether anything changed
 */
export async function equalize(
  model: Model,
  scratch: ScratchTensors,
  maxima: ChannelMaxima = new Map(),
): Promise<boolean> {
  const names = new NameAllocator(model);
  const store = async (base: string, shape: readonly number[], values: Float32Array) => {
    const name = names.value(`${base}_equalized`);
    model.graph.initializers.set(name, await scratch.keep(tensorFromFloats(shape, values)));
    return name;
  };
  let changed = false;
  for (const pair of await findLayerPairs(model)) {
    const before = await readChannelWeight(pair.producer, model.graph);
    const after = await readAll(pair.consumers, model);
    const factors = before && after && factorsOf(pair, before, after, maxima.get(pair.value));
    if (!factors || factors.every((factor) => factor === 1)) continue;
    const { producer, consumers } = pair;
    producer.inputs = producer.inputs.with(
      1,
      await store(producer.inputs[1]!, before.shape, before.scaledByOutput(factors)),
    );
    if (before.bias !== null) {
      const bias = before.bias.map((value, channel) => value * factors[channel]!);
      producer.inputs = producer.inputs.with(2, await store(producer.inputs[2]!, [bias.length], bias));
    }
    const inverse = factors.map((factor) => 1 / factor);
    for (const [i, consumer] of consumers.entries()) {
      const weight = after[i]!;
      consumer.inputs = consumer.inputs.with(
        1,
        await store(consumer.inputs[1]!, weight.shape, weight.scaledByInput(inverse)),
      );
    }
    changed = true;
  }
  if (changed) removeUnused(model);
  return changed;
}

/** The weights of the consumers; null when one cannot be read. */
async function readAll(consumers: readonly Node[], model: Model): Promise<ChannelWeight[] | null> {
  const weights: ChannelWeight[] = [];
  for (const consumer of consumers) {
    const weight = await readChannelWeight(consumer, model.graph);
    if (weight === null) return null;
    weights.push(weight);
  }
  return weights;
}

/** f per channel between the layers; null where they do not fit each other or a Clip stands in the way. */
function factorsOf(
  { bound }: LayerPair,
  before: ChannelWeight,
  after: readonly ChannelWeight[],
  seen: Float32Array | undefined,
): Float64Array | null {
  const isClipped = bound < Number.POSITIVE_INFINITY;
  if (after.some(({ inputChannels }) => inputChannels !== before.outputChannels)) return null;
  if (isClipped && seen === undefined) return null;
  const magnitudes = seen === undefined ? before.outputMaxima() : Float64Array.from(seen);
  const largest = magnitudes.reduce((most, value) => Math.max(most, value), 0);
  if (largest === 0) return null;
  const allShares = after.map((weight) => weight.inputShares());
  const shares = magnitudes.map((_, c) => Math.max(...allShares.map((own) => own[c]!)));
  const isFree = after.every(({ inputsPerRow }) => inputsPerRow === 1);
  const m = Float64Array.from(magnitudes, (value) => Math.max(value, largest * SMALLEST_SHARE));
  const raw = m.map((value, c) => (isFree ? 1 / value : Math.sqrt(shares[c]! / value)));
  const k = (isClipped ? bound : largest) / raw.reduce((most, value, c) => Math.max(most, value * m[c]!), 0);
  // Values of a channel that B does not use, and of one that the Clip cuts, stay as they are.
  return raw.map((value, c) => (shares[c] === 0 || m[c]! >= bound ? 1 : k * value));
}
