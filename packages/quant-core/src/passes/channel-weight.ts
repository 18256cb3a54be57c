import { type Graph, GraphIndex, intAttribute, type Node, readFloats } from '../ir/index.js';
import { outputChannelAxis, perChannelBias } from './output-channels.js';

/** The weight of a Conv or Gemm by channels. */
export interface ChannelWeight {
  readonly shape: readonly number[];
  readonly outputChannels: number;
  /** Of all groups together. */
  readonly inputChannels: number;
  /** Input channels that one output channel sees. */
  readonly inputsPerRow: number;
  /** [outputChannels]; null where there is none. */
  readonly bias: Float32Array | null;
  /** max |w| of each output channel. */
  outputMaxima(): Float64Array;
  /** The largest share that each input channel has in the largest weight of a row, 0 to 1. */
  inputShares(): Float64Array;
  /** Weights times a factor per output channel, in the order of the tensor. */
  scaledByOutput(factors: Float64Array): Float32Array;
  /** Weights times a factor per input channel. */
  scaledByInput(factors: Float64Array): Float32Array;
}

/** Reads weight and bias; null where they are not float32 constants, or the bias is not one per channel. */
export async function readChannelWeight(node: Node, graph: Graph): Promise<ChannelWeight | null> {
  const index = new GraphIndex(graph);
  const tensor = index.constantOf(node.inputs[1]!)?.tensor;
  if (tensor?.dtype !== 'float32') return null;
  const { shape } = tensor;
  const outputChannels = shape[outputChannelAxis(node)!]!;
  const bias = await readBias(node, index, outputChannels);
  if (bias === undefined) return null;
  const values = await readFloats(tensor);
  const { inputsPerRow, groups, outputOf, columnOf } = orderOf(node, shape, outputChannels);
  const perGroup = outputChannels / groups;
  const inputOf = (i: number) => Math.floor(outputOf(i) / perGroup) * inputsPerRow + columnOf(i);
  const outputMaxima = () => {
    const maxima = new Float64Array(outputChannels);
    for (const [i, value] of values.entries()) maxima[outputOf(i)] = Math.max(maxima[outputOf(i)]!, Math.abs(value));
    return maxima;
  };
  return {
    shape,
    outputChannels,
    inputChannels: inputsPerRow * groups,
    inputsPerRow,
    bias,
    outputMaxima,
    inputShares() {
      const maxima = outputMaxima();
      const shares = new Float64Array(inputsPerRow * groups);
      for (const [i, value] of values.entries()) {
        if (value === 0) continue;
        shares[inputOf(i)] = Math.max(shares[inputOf(i)]!, Math.abs(value) / maxima[outputOf(i)]!);
      }
      return shares;
    },
    scaledByOutput: (factors) => values.map((value, i) => value * factors[outputOf(i)]!),
    scaledByInput: (factors) => values.map((value, i) => value * factors[inputOf(i)]!),
  };
}

/** Undefined where there is a bias that is not one constant per output channel. */
async function readBias(node: Node, index: GraphIndex, channels: number): Promise<Float32Array | null | undefined> {
  const name = node.inputs[2] ?? '';
  if (name === '') return null;
  const bias = index.constantOf(name)?.tensor;
  if (bias?.dtype !== 'float32') return undefined;
  return perChannelBias(await readFloats(bias), bias.shape, channels) ?? undefined;
}

/** Where an element of the tensor belongs. */
interface ElementOrder {
  readonly groups: number;
  readonly inputsPerRow: number;
  readonly outputOf: (i: number) => number;
  /** Input channel within the group. */
  readonly columnOf: (i: number) => number;
}

function orderOf(node: Node, shape: readonly number[], outputChannels: number): ElementOrder {
  if (node.opType === 'Gemm' && outputChannelAxis(node) === 1) {
    return {
      groups: 1,
      inputsPerRow: shape[0]!,
      outputOf: (i) => i % outputChannels,
      columnOf: (i) => Math.floor(i / outputChannels),
    };
  }
  const inputsPerRow = shape[1]!;
  const taps = shape.slice(2).reduce((product, size) => product * size, 1);
  return {
    groups: node.opType === 'Conv' ? intAttribute(node, 'group', 1) : 1,
    inputsPerRow,
    outputOf: (i) => Math.floor(i / (inputsPerRow * taps)),
    columnOf: (i) => Math.floor(i / taps) % inputsPerRow,
  };
}
