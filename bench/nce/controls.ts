import { costOf, isFree, networkCost, searchSpace, type WidthId } from '@tritforge/quant-core/nce';
import { readModel } from '@tritforge/quant-core/onnx';

/** Channels by the first layer of each width, as `recipe.nce.widths` takes them. */
export type NamedWidths = Record<string, number>;

/** How a network is made wider or narrower. */
interface Widths {
  readonly names: readonly string[];
  /** In the network as it is. */
  readonly channels: readonly number[];
  readonly macsOf: (channels: readonly number[]) => number;
}

/** Shares of the channels that random networks are drawn from, before all of them are scaled to the same cost. */
const RANDOM_SHARES = { from: 0.3, to: 1.7 };
const HALVINGS = 40;

/** What controls are made from. @param searched layers that a search chose widths of, one of each width */
export async function widthsOf(modelPath: string, searched: readonly string[]): Promise<Widths> {
  const { template, graph } = await searchSpace(await readModel(modelPath));
  const { macs } = networkCost(template, graph);
  const widths = searched.map((layer) => graph.widths.find((width) => isFree(width) && width.layers.includes(layer))!);
  return {
    names: searched,
    channels: widths.map(({ channels }) => channels),
    macsOf: (channels) => {
      const chosen = new Map<WidthId, number>(widths.map(({ id }, i) => [id, channels[i]!]));
      return costOf(macs, graph, (id) => chosen.get(graph.widthOf(id).id) ?? graph.widthOf(id).channels);
    },
  };
}

/** All widths times the same factor, the largest within so many multiply-accumulates. */
export function uniformWidths(widths: Widths, macs: number): NamedWidths {
  return scaled(
    widths,
    widths.channels.map(() => 1),
    macs,
  );
}

/** Widths in random proportions, as large as so many multiply-accumulates allow. @param random in [0, 1) */
export function randomWidths(widths: Widths, macs: number, random: () => number): NamedWidths {
  const { from, to } = RANDOM_SHARES;
  return scaled(
    widths,
    widths.channels.map(() => from + (to - from) * random()),
    macs,
  );
}

function scaled({ names, channels, macsOf }: Widths, shares: readonly number[], most: number): NamedWidths {
  const at = (factor: number) => channels.map((count, i) => Math.max(Math.round(count * shares[i]! * factor), 1));
  let [low, high] = [0, 8];
  for (let i = 0; i < HALVINGS; i++) {
    const middle = (low + high) / 2;
    if (macsOf(at(middle)) <= most) low = middle;
    else high = middle;
  }
  return Object.fromEntries(names.map((name, i) => [name, at(low)[i]!]));
}
