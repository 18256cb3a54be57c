import { GraphIndex, type Model, type Node, readFloats, readInts, readTensor, type Tensor } from '../ir/index.js';

/** Codes in groups as a portable artifact stores it. */
export interface StoredPlane {
  readonly packedCodes: Uint8Array;
  readonly groupCodes: Uint8Array;
}

/** How a portable artifact stores the weight of a layer. */
export type StoredWeight =
  | { readonly kind: 'float' }
  | { readonly kind: 'int8'; readonly values: Int8Array; readonly channelScales: Float32Array }
  | { readonly kind: 'int2'; readonly packedCodes: Uint8Array; readonly channelScales: Float32Array }
  | (StoredPlane & {
      readonly kind: 'ternary' | 'int4';
      readonly residual: StoredPlane | null;
      readonly channelScales: Float32Array;
    });

/** A layer of an artifact, as its graph has it. */
export interface ArtifactLayer {
  readonly node: Node;
  readonly weight: StoredWeight;
  /** Quantization of the input; null where the input is no uint8 code. */
  readonly input: Affine | null;
  /** Bias in units of input scale × channel scale; null where there is none, or one in floats. */
  readonly bias: Int32Array | null;
}

/** real = (code − zeroPoint) · scale, the code being at most maxCode. */
export interface Affine {
  readonly scale: number;
  readonly zeroPoint: number;
  readonly maxCode: number;
}

const LAYER_OPS: ReadonlySet<string> = new Set(['Conv', 'Gemm', 'MatMul']);

/**
 * The layers with constant weights in the main graph of a portable artifact, and its tables of rows, by node name. It goes by the
 * operators and types of the graph alone and shares nothing with what wrote it.
 */
export async function artifactLayers(model: Model): Promise<Map<string, ArtifactLayer>> {
  const index = new GraphIndex(model.graph);
  const layers = new Map<string, ArtifactLayer>();
  for (const node of model.graph.nodes.filter(({ opType }) => LAYER_OPS.has(opType))) {
    const operands = node.inputs.slice(0, 2).map((name) => constantsBehind(name, index));
    const position = operands.findLastIndex((constants) => constants !== null);
    if (position < 0) continue;
    layers.set(node.name, {
      node,
      weight: await storedWeight(operands[position]!),
      input: await affineOf(index.producerOf(node.inputs[1 - position]!), index),
      bias: await storedBias(node.inputs[2] ?? '', index),
    });
  }
  for (const node of model.graph.nodes.filter(({ opType }) => opType === 'Gather')) {
    const table = constantsBehind(node.inputs[0]!, index);
    if (table === null || constantsBehind(node.inputs[1]!, index) !== null) continue;
    const scales = rowScalesOf(node, index);
    const weight = await storedWeight(scales === null ? table : [...table, scales]);
    layers.set(node.name, { node, weight, input: null, bias: null });
  }
  return layers;
}

/** What the rows that a Gather looks up are multiplied by, looked up likewise; null where they are not. */
function rowScalesOf(lookup: Node, index: GraphIndex): Tensor | null {
  const cast = index.soleConsumerOf(lookup.outputs[0]!);
  const product = cast?.opType === 'Cast' ? index.soleConsumerOf(cast.outputs[0]!) : undefined;
  const column = product?.inputs.find((name) => name !== cast?.outputs[0]);
  const other = index.producerOf(index.producerOf(column ?? '')?.inputs[0] ?? '');
  if (other?.opType !== 'Gather' || other.inputs[1] !== lookup.inputs[1]) return null;
  return index.graph.initializers.get(other.inputs[0]!) ?? null;
}

/** The initializers that a value is computed from; null when an input of the model takes part. */
export function constantsBehind(name: string, index: GraphIndex): readonly Tensor[] | null {
  const found: Tensor[] = [];
  const pending = new Set([name]);
  for (const at of pending) {
    const tensor = index.graph.initializers.get(at);
    const producer = index.producerOf(at);
    if (tensor !== undefined) found.push(tensor);
    else if (producer === undefined) return null;
    else for (const input of producer.inputs) pending.add(input);
  }
  return found;
}

async function storedWeight(constants: readonly Tensor[]): Promise<StoredWeight> {
  const packed = constants.filter(({ dtype }) => dtype === 'uint8');
  // Besides: zero points, of rank 1, and the table that decodes bytes.
  const isTable = (shape: readonly number[]) => shape.length === 2 && shape[0] === 256 && [2, 4].includes(shape[1]!);
  const table = constants.find(({ dtype, shape }) => dtype === 'int8' && isTable(shape));
  const int8 = constants.filter(({ dtype, shape }) => dtype === 'int8' && shape.length > 1 && !isTable(shape));
  if (int8.length === 0 && packed.length === 0) return { kind: 'float' };
  const channelScales = await readFloats(constants.find(({ dtype }) => dtype === 'float32')!);
  if (packed.length === 0) return { kind: 'int8', values: new Int8Array(await readTensor(int8[0]!)), channelScales };
  if (int8.length === 0) return { kind: 'int2', packedCodes: await readTensor(packed[0]!), channelScales };
  const plane = async (i: number) => ({
    packedCodes: await readTensor(packed[i]!),
    groupCodes: await readTensor(int8[i]!),
  });
  const kind = table!.shape[1] === 4 ? 'ternary' : 'int4';
  return { kind, ...(await plane(0)), residual: packed.length > 1 ? await plane(1) : null, channelScales };
}

async function storedBias(name: string, index: GraphIndex): Promise<Int32Array | null> {
  const values = index.graph.initializers.get(index.producerOf(name)?.inputs[0] ?? '');
  return values?.dtype === 'int32' ? Int32Array.from(await readInts(values), Number) : null;
}

/** Scale and zero point of a QuantizeLinear or DequantizeLinear between floats and uint8; null for other nodes. */
export async function affineOf(node: Node | undefined, index: GraphIndex): Promise<Affine | null> {
  if (node?.opType !== 'DequantizeLinear' && node?.opType !== 'QuantizeLinear') return null;
  const [scale, zeroPoint] = node.inputs.slice(1).map((input) => index.graph.initializers.get(input)!);
  if (zeroPoint!.dtype !== 'uint8') return null;
  return {
    scale: (await readFloats(scale!))[0]!,
    zeroPoint: (await readTensor(zeroPoint!))[0]!,
    maxCode: node.opType === 'DequantizeLinear' ? await maxCodeOf(node.inputs[0]!, index) : 255,
  };
}

/** The bound of the Clip that codes come from, through operators that only move them; 255 where there is none. */
async function maxCodeOf(codes: string, index: GraphIndex): Promise<number> {
  const producer = index.producerOf(codes);
  if (producer === undefined || producer.opType === 'QuantizeLinear') return 255;
  if (producer.opType !== 'Clip') return maxCodeOf(producer.inputs[0]!, index);
  return (await readTensor(index.graph.initializers.get(producer.inputs[2]!)!))[0]!;
}
