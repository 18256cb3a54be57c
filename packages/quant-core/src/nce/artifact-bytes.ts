/**
 * The size of an artifact as a function of the widths of its network,
 *
 *   bytes = whole + code · codes + channel · channels
 *
 * with the codes of all weights, and the output channels of all layers, which have scales and biases. What a format takes for each of them and
 * for the graph is measured on three networks of other widths.
 */
import type { LayerPrecision } from '@tritforge/contracts';
import type { PlannedLayer } from '../layers/layer.js';
import { type CostTerm, costOf } from './cost.js';
import type { ChannelCounts, WidthGraph } from './widths/width-graph.js';
import { scaledWidth, type WidthId } from './widths/width-table.js';

export interface ArtifactBytes {
  /** What follows the widths. */
  readonly terms: readonly CostTerm[];
  /** What the file takes beside it. */
  readonly whole: number;
}

/** Widths that sizes are measured at, as shares of those of the network. */
const SHARES = [0.4, 0.7, 1] as const;

/**
 * @param planned layers of the network that the graph is of
 * @param sizeAt measured bytes of the file of a network with so many channels
 */
export async function artifactBytes(
  planned: readonly PlannedLayer[],
  { graph, searched }: { readonly graph: WidthGraph; readonly searched: readonly WidthId[] },
  sizeAt: (counts: ChannelCounts) => Promise<number>,
): Promise<ArtifactBytes> {
  const codes = planned.flatMap((layer) => codeTerms(layer, graph));
  const channels = planned.flatMap((layer) => channelTerms(layer, graph));
  const measured: Size[] = [];
  for (const share of SHARES) {
    const counts = new Map(searched.map((id) => [id, scaledWidth(graph.widthOf(id), share)]));
    const bytes = await sizeAt(counts);
    measured.push({ bytes, codes: costOf(codes, graph, counts), channels: costOf(channels, graph, counts) });
  }
  const [, , most] = measured as [Size, Size, Size];
  const { code, channel } = bytesOfEach(measured as [Size, Size, Size]);
  const times = (terms: readonly CostTerm[], by: number) =>
    terms.map((term) => ({ ...term, factor: by * term.factor }));
  return {
    terms: [...times(codes, code), ...times(channels, channel)],
    whole: most.bytes - code * most.codes - channel * most.channels,
  };
}

/** A network that was measured. */
interface Size {
  readonly bytes: number;
  readonly codes: number;
  readonly channels: number;
}

/** What differs between the networks is codes and channels. */
function bytesOfEach([few, some, many]: readonly [Size, Size, Size]): { code: number; channel: number } {
  const [a, b] = [difference(some, few), difference(many, some)];
  const determinant = a.codes * b.channels - b.codes * a.channels;
  if (determinant === 0) return { code: 1, channel: 0 };
  return {
    code: (a.bytes * b.channels - b.bytes * a.channels) / determinant,
    channel: (a.codes * b.bytes - b.codes * a.bytes) / determinant,
  };
}

function difference(of: Size, from: Size): Size {
  return { bytes: of.bytes - from.bytes, codes: of.codes - from.codes, channels: of.channels - from.channels };
}

/** Bytes of the codes of a weight; group scales with them. */
function codeTerms({ layer: { weight, weightName }, applied }: PlannedLayer, graph: WidthGraph): CostTerm[] {
  const layout = graph.tensors.get(weightName) ?? [];
  const fixed = weight.shape.reduce((product, size, axis) => product * ((layout[axis] ?? null) === null ? size : 1), 1);
  const axes = layout.flatMap((axis) => (axis === null ? [] : [axis.segments]));
  return [{ factor: fixed * bytesOfWeight(applied), axes, projects: null }];
}

function channelTerms({ layer: { weightName, layout } }: PlannedLayer, graph: WidthGraph): CostTerm[] {
  const output = (graph.tensors.get(weightName) ?? []).find((axis) => axis !== null && !axis.isSummed);
  if (output === null || output === undefined) return [{ factor: layout.outputChannels, axes: [], projects: null }];
  return [{ factor: 1, axes: [output.segments], projects: null }];
}

/** On average, where groups are full. */
function bytesOfWeight({ bits, groupSize, planes }: LayerPrecision): number {
  if (bits === null) return 4;
  if (bits === 8) return 1;
  return (planes ?? 1) * (bits / 8 + (groupSize === null ? 0 : 1 / groupSize));
}
