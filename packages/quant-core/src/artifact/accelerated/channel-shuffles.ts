/**
 * The channel shuffle of grouped convolutions (ShuffleNet, arXiv 1707.01083, section 3.1):
 *
 *   Reshape [B, g, C/g, H, W] → Transpose (0, 2, 1, 3, 4) → Reshape [B, C, H, W]
 *
 * With channels last it is the same on the last axis, where it moves whole pixels instead of planes.
 */
import { type Graph, GraphIndex, type InferredShapes, intsAttribute, type Node } from '../../ir/index.js';

/** A channel shuffle in a graph. */
export interface ChannelShuffle {
  readonly input: string;
  readonly output: string;
  /** The three nodes, in order. */
  readonly nodes: readonly [Node, Node, Node];
  /** g */
  readonly groups: number;
  /** C/g */
  readonly perGroup: number;
}

const SWAP_GROUPS = '0,2,1,3,4';

/** All shuffles between nodes that `moves` accepts, each by all its nodes. */
export function findChannelShuffles(
  graph: Graph,
  shapes: InferredShapes,
  moves: (node: Node) => boolean,
): Map<Node, ChannelShuffle> {
  const index = new GraphIndex(graph);
  const found = new Map<Node, ChannelShuffle>();
  for (const node of graph.nodes) {
    const nodes = node.opType === 'Transpose' ? around(node, index) : null;
    const shuffle = nodes?.every(moves) ? describe(nodes, shapes) : null;
    for (const member of shuffle?.nodes ?? []) found.set(member, shuffle!);
  }
  return found;
}

function around(transpose: Node, index: GraphIndex): readonly [Node, Node, Node] | null {
  const before = index.producerOf(transpose.inputs[0]!);
  const after = index.soleConsumerOf(transpose.outputs[0]!);
  if (before?.opType !== 'Reshape' || after?.opType !== 'Reshape') return null;
  return index.soleConsumerOf(before.outputs[0]!) === transpose ? [before, transpose, after] : null;
}

function describe(nodes: readonly [Node, Node, Node], shapes: InferredShapes): ChannelShuffle | null {
  const [before, transpose, after] = nodes;
  const shapeOf = (name: string) => shapes.get(name)?.shape;
  const [input, output] = [before.inputs[0]!, after.outputs[0]!];
  const split = shapeOf(before.outputs[0]!);
  const [from, to] = [shapeOf(input), shapeOf(output)];
  const [, groups, perGroup] = split ?? [];
  if (split?.length !== 5 || intsAttribute(transpose, 'perm', []).join() !== SWAP_GROUPS) return null;
  if (typeof groups !== 'number' || typeof perGroup !== 'number' || from?.length !== 4 || to?.length !== 4) return null;
  const keepsPlanes = [2, 3].every(
    (axis) => from[axis] !== null && from[axis] === to[axis] && from[axis] === split[axis + 1],
  );
  const keepsChannels = from[1] === groups * perGroup && to[1] === from[1];
  return keepsPlanes && keepsChannels ? { input, output, nodes, groups, perGroup } : null;
}
