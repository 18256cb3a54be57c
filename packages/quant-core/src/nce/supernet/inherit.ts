/**
 * The network that a supernet has become, with one candidate of each width: what its quantized weights mean, into which the normalization
 * by the data and γ and β of that candidate are folded,
 *
 *   W′ = f · W,   b′ = β − f · μ,   f = γ / √(v + ε)
 *
 * Source: Jacob et al. 2018, §3.2, for the folding.
 */
import { type Model, type Tensor, tensorFromFloats } from '../../ir/index.js';
import { multiplyChannels } from '../../train/learned-scales.js';
import { NORMALIZATION_EPSILON, type NormalizedLayer } from '../../train/normalized-student.js';
import { deriveNetwork } from '../derive.js';
import { type ChannelCounts, widthGraph } from '../widths/width-graph.js';
import type { WidthId } from '../widths/width-table.js';
import type { Affine } from './mixture.js';
import type { Supernet } from './supernet.js';
import type { SearchedLayer } from './supernet-graph.js';

/** Which candidate of each searched width, and how many channels that has. */
export interface Chosen {
  readonly positions: ReadonlyMap<WidthId, number>;
  readonly channels: ChannelCounts;
}

export async function inheritedNetwork(
  supernet: Supernet,
  { latent, affines }: { readonly latent: Float32Array; readonly affines: Float32Array },
  chosen: Chosen,
): Promise<Model> {
  await supernet.quantize(latent);
  const pairs = new Map([...chosen.positions].map(([id, position]) => [id, { positions: [position], shares: [1] }]));
  supernet.mix(pairs, affines);
  const { mean, variance, affine } = await measured(supernet, affines, chosen);
  const { graphs, base } = supernet;
  const folded = supernet.values();
  const parameters = new Map(graphs.training.parameters.map((parameter) => [parameter.name, parameter]));
  const weights = new Map(supernet.latent.weights.map((weight) => [weight.parameter.name, weight]));
  graphs.normalized.forEach((layer, i) => {
    const { gain, shift } = affine(layer);
    const factors = Float64Array.from(variance[i]!, (v, c) => (gain[c] ?? 0) / Math.sqrt(v + NORMALIZATION_EPSILON));
    multiplyChannels(folded, weights.get(layer.weight)!, factors);
    const { offset } = parameters.get(layer.shift)!;
    factors.forEach((factor, c) => {
      folded[offset + c] = (shift[c] ?? 0) - factor * mean[i]![c]!;
    });
  });
  const tensors = new Map<Tensor, Tensor>();
  for (const [name, tensor] of graphs.trained) {
    const { offset, length, shape } = parameters.get(name)!;
    const own =
      tensor.kind === 'weight'
        ? tensor.planned.layer.weight
        : tensor.kind === 'bias'
          ? tensor.planned.layer.bias
          : null;
    if (own !== null) tensors.set(own, tensorFromFloats(shape, folded.slice(offset, offset + length)));
  }
  const { graph } = base.prepared;
  const initializers = new Map([...graph.initializers].map(([name, tensor]) => [name, tensors.get(tensor) ?? tensor]));
  const whole = { ...base.prepared, graph: { ...graph, initializers } };
  const range = (count: number) => Array.from({ length: count }, (_, i) => i);
  const sources = new Map([...chosen.channels].map(([id, channels]) => [id, range(channels)]));
  return deriveNetwork(whole, await widthGraph(whole), sources);
}

/** Moments of what goes into normalizations, and the γ and β behind them. */
async function measured(supernet: Supernet, affines: Float32Array, chosen: Chosen) {
  const moments = await supernet.statistics();
  const values = supernet.values();
  const { searched } = supernet.graphs;
  const affine = (layer: NormalizedLayer): Affine => {
    const owner = searched.indexOf(layer as SearchedLayer);
    if (owner < 0) return supernet.plainAffine(layer, values);
    const { matrix, width } = searched[owner]!;
    return supernet.layout.of(affines, owner)[matrix === null ? 0 : chosen.positions.get(width)!]!;
  };
  return { mean: moments.map(({ mean }) => mean), variance: moments.map(({ variance }) => variance), affine };
}
