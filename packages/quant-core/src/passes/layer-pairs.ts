import { GraphIndex, type Model, type Node, readFloats } from '../ir/index.js';
import { outputChannelAxis } from './output-channels.js';

/** A Conv or Gemm and those that take in its result, with nothing but per-channel operators between and no other users. */
export interface LayerPair {
  readonly producer: Node;
  readonly consumers: readonly Node[];
  /** What the consumers take in; with a Clip between them, what that gives out. */
  readonly value: string;
  /** Upper bound of the Clip; infinite where there is none. */
  readonly bound: number;
}

/** Operators on single channels with φ(f x) = f φ(x) for f > 0. */
const HOMOGENEOUS: ReadonlySet<string> = new Set([
  'AveragePool',
  'GlobalAveragePool',
  'GlobalMaxPool',
  'Identity',
  'LeakyRelu',
  'MaxPool',
  'PRelu',
  'Relu',
]);

/** The pairs of the main graph, in graph order. */
export async function findLayerPairs({ graph }: Model): Promise<LayerPair[]> {
  const index = new GraphIndex(graph);
  const pairs: LayerPair[] = [];
  for (const producer of graph.nodes) {
    const pair = outputChannelAxis(producer) === null ? null : await follow(producer, index);
    if (pair !== null) pairs.push(pair);
  }
  return pairs;
}

async function follow(producer: Node, index: GraphIndex): Promise<LayerPair | null> {
  let bound = Number.POSITIVE_INFINITY;
  let clipped: string | null = null;
  for (let value = producer.outputs[0]!; ; ) {
    const users = index.consumersOf(value);
    const [next] = users;
    if (next === undefined || index.isOutput(value) || !users.every((user) => isFirstInput(value, user))) return null;
    if (users.every((user) => outputChannelAxis(user) !== null))
      return { producer, consumers: users, value: clipped ?? value, bound };
    if (users.length > 1 || next.domain !== '' || next.outputs.slice(1).some((name) => name !== '')) return null;
    if (next.opType === 'Clip') {
      const top = await upperBound(next, index);
      if (top === null || clipped !== null) return null;
      bound = top;
      if (top < Number.POSITIVE_INFINITY) clipped = next.outputs[0]!;
    } else if (!HOMOGENEOUS.has(next.opType)) return null;
    value = next.outputs[0]!;
  }
}

function isFirstInput(value: string, { inputs }: Node): boolean {
  return inputs[0] === value && inputs.lastIndexOf(value) === 0;
}

/** The upper bound of a Clip from zero; null for any other Clip. */
async function upperBound(clip: Node, index: GraphIndex): Promise<number | null> {
  const [, low = '', high = ''] = clip.inputs;
  const read = async (name: string) => {
    const tensor = index.constantOf(name)?.tensor;
    return tensor?.dtype === 'float32' ? ((await readFloats(tensor))[0] ?? null) : null;
  };
  if ((await read(low)) !== 0) return null;
  if (high === '') return Number.POSITIVE_INFINITY;
  const top = await read(high);
  return top !== null && top > 0 ? top : null;
}
