/**
 * What the outputs of layers are held against. Where one goes into an addition, that is the sum:
 *
 *   layer ──▶ ŷ ──▶ Add ──▶ ŷ + s        y* = (y + s of the original) − s of the quantized network
 *                    ▲
 *                    s     from layers that are quantized already
 *
 * so that a layer at the end of a residual branch makes up for what the stream has lost so far. It lowers the perplexity of a small
 * decoder by a tenth; residual convolution networks do not care.
 */
import { type Graph, GraphIndex, type Node } from '../ir/index.js';

/** A sum of a layer's output and something that is known at the layer's turn. */
export interface LayerSum {
  readonly node: Node;
  /** Which input of the node is the other summand. */
  readonly other: 0 | 1;
}

/**
 * The sums that layers go into. Both summands must have one shape, which is not checked here.
 * @param order the nodes of the layers in the order in which they are quantized
 * @returns by the layer's node; layers that go into no such sum are left out
 */
export function layerSums(graph: Graph, order: readonly Node[]): Map<Node, LayerSum> {
  const index = new GraphIndex(graph);
  const turns = latestTurns(graph, order);
  const sums = new Map<Node, LayerSum>();
  for (const [turn, node] of order.entries()) {
    const sum = sumBehind(node, index);
    const isKnown = sum !== null && (turns.get(sum.node.inputs[sum.other]!) ?? -1) < turn;
    if (isKnown) sums.set(node, sum);
  }
  return sums;
}

/** The addition that alone uses the output of a node; null when there is none, or it adds a constant or the output to itself. */
function sumBehind({ outputs }: Node, index: GraphIndex): LayerSum | null {
  const output = outputs[0]!;
  const node = index.soleConsumerOf(output);
  if (node === undefined || node.domain !== '' || node.opType !== 'Add') return null;
  const other = node.inputs[0] === output ? 1 : 0;
  const name = node.inputs[other]!;
  return name === output || index.constantOf(name) !== undefined ? null : { node, other };
}

/** Of each value, the last of the layers that it depends on. */
function latestTurns(graph: Graph, order: readonly Node[]): Map<string, number> {
  const own = new Map(order.map((node, turn) => [node, turn]));
  const turns = new Map<string, number>();
  for (const node of graph.nodes) {
    const turn = Math.max(own.get(node) ?? -1, ...node.inputs.map((name) => turns.get(name) ?? -1));
    for (const output of node.outputs) turns.set(output, turn);
  }
  return turns;
}
