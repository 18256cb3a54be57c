import { existsSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Attribute,
  type DataType,
  type Dimension,
  intsValue,
  intValue,
  type Model,
  scalarFloat,
  scalarInt8,
  scalarUint8,
  type Tensor,
  tensorFromFloats,
  tensorFromInt8,
  tensorFromUint8,
} from '@tritforge/quant-core/ir';
import { writeModel } from '@tritforge/quant-core/onnx';
import type { ConvolutionShape, GemmShape, Shape } from './families.js';

/** A model of one operator with one input "A" and one output "C", for the native program. */
export interface OrtPeer {
  readonly name: string;
  readonly path: string;
  readonly input: 'f32' | 'u8';
  readonly output: 'f32' | 'u8' | 's32';
  readonly layout: 'nchw' | 'nhwc';
}

const MICROSOFT = 'com.microsoft';
const BITS = [4, 2] as const;
const BLOCK_SIZES = [32, 64, 128] as const;
/** Computes in int8, the fastest level. */
const ACCURACY_LEVEL = 4;
/** Up to which number of rows int8 is also measured from float32 to float32, as decoding would use it. */
const FEW_ROWS = 16;
const MAX_WEIGHT = 64;
const TYPES = { f32: 'float32', u8: 'uint8', s32: 'int32' } as const satisfies Record<string, DataType>;

/**
 * Writes the models of a shape's peers into the folder, those that are not there yet.
 * @param filter what names of peers must contain
 */
export async function writePeerModels(shape: Shape, filter: string, folder: string): Promise<OrtPeer[]> {
  const all = shape.kind === 'gemm' ? gemmPeers(shape) : convolutionPeers(shape);
  const peers = all.filter(({ name }) => name.includes(filter));
  const written: OrtPeer[] = [];
  for (const { key, build, ...peer } of peers) {
    const path = join(folder, `${key}.onnx`);
    // Nothing is forced to the disk in this mode.
    if (!existsSync(path)) await writeModel(build(peer), path, { externalData: 'by-reference' });
    written.push({ ...peer, path });
  }
  return written;
}

type Described = Omit<OrtPeer, 'path'>;
type PeerPlan = Described & { readonly key: string; readonly build: (peer: Described) => Model };

function gemmPeers({ m, k, n }: GemmShape): PeerPlan[] {
  const size = `${k}x${n}`;
  const layout = 'nchw';
  const model = (peer: Described, node: NodeParts, constants: Record<string, Tensor>) =>
    oneNode(peer, node, ['M', k], ['M', n], constants);
  const float = plan({ name: 'ort fp32', input: 'f32', output: 'f32', layout }, `fp32-${size}`, (peer) =>
    model(peer, { opType: 'MatMul' }, { B: floats([k, n]) }),
  );
  const integer = plan({ name: 'ort int8', input: 'u8', output: 's32', layout }, `int8-${size}`, (peer) =>
    model(peer, { opType: 'MatMulInteger' }, { B: int8s([k, n]) }),
  );
  const dynamic = plan(
    { name: 'ort int8, fp32 in and out', input: 'f32', output: 'f32', layout },
    `dynamic-${size}`,
    (peer) =>
      model(
        peer,
        { opType: 'DynamicQuantizeMatMul', domain: MICROSOFT },
        { B: int8s([k, n]), scale: scalarFloat(0.01), zero: scalarInt8(0) },
      ),
  );
  return [float, integer, ...(m <= FEW_ROWS ? [dynamic] : []), ...nBitsPeers(k, n)];
}

function nBitsPeers(k: number, n: number): PeerPlan[] {
  const sizes = BLOCK_SIZES.filter((blockSize) => k % blockSize === 0);
  return BITS.flatMap((bits) =>
    sizes.map((blockSize) =>
      plan(
        { name: `ort ${bits}-bit/${blockSize}`, input: 'f32', output: 'f32', layout: 'nchw' },
        `nbits${bits}-${blockSize}-${k}x${n}`,
        (peer) => oneNode(peer, nBitsNode(k, n, bits, blockSize), ['M', k], ['M', n], nBits(k, n, bits, blockSize)),
      ),
    ),
  );
}

function nBitsNode(k: number, n: number, bits: number, blockSize: number): NodeParts {
  const attributes = { K: k, N: n, bits, block_size: blockSize, accuracy_level: ACCURACY_LEVEL };
  return {
    opType: 'MatMulNBits',
    domain: MICROSOFT,
    attributes: Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, intValue(value)])),
  };
}

function nBits(k: number, n: number, bits: number, blockSize: number): Record<string, Tensor> {
  const blocks = k / blockSize;
  return { B: uint8s([n, blocks, (blockSize * bits) / 8]), scales: floats([n * blocks]) };
}

function convolutionPeers(shape: ConvolutionShape): PeerPlan[] {
  const { size, outputSize, inputChannels, outputChannels, kernel, stride, pad, groups } = shape;
  const key = [size, inputChannels, outputChannels, kernel, stride, groups].join('x');
  const weights = [outputChannels, inputChannels / groups, kernel, kernel];
  const attributes = {
    kernel_shape: intsValue([kernel, kernel]),
    strides: intsValue([stride, stride]),
    pads: intsValue([pad, pad, pad, pad]),
    group: intValue(groups),
  };
  return [
    plan({ name: 'ort fp32', input: 'f32', output: 'f32', layout: 'nchw' }, `conv-fp32-${key}`, (peer) =>
      oneNode(
        peer,
        { opType: 'Conv', attributes },
        [1, inputChannels, size, size],
        [1, outputChannels, outputSize, outputSize],
        { B: floats(weights) },
      ),
    ),
    plan({ name: 'ort int8', input: 'u8', output: 'u8', layout: 'nhwc' }, `conv-int8-${key}`, (peer) =>
      oneNode(
        peer,
        { opType: 'QLinearConv', domain: MICROSOFT, attributes: { ...attributes, channels_last: intValue(1) } },
        [1, size, size, inputChannels],
        [1, outputSize, outputSize, outputChannels],
        {
          ...quantization('a', 0.02),
          w: int8s(weights),
          w_scale: tensorFromFloats([outputChannels], new Float32Array(outputChannels).fill(0.01)),
          w_zero: scalarInt8(0),
          ...quantization('c', 2),
        },
      ),
    ),
  ];
}

function quantization(name: string, scale: number): Record<string, Tensor> {
  return { [`${name}_scale`]: scalarFloat(scale), [`${name}_zero`]: scalarUint8(0) };
}

function plan(peer: Described, key: string, build: PeerPlan['build']): PeerPlan {
  return { ...peer, key, build };
}

interface NodeParts {
  readonly opType: string;
  readonly domain?: string;
  readonly attributes?: Readonly<Record<string, Attribute>>;
}

/** Constants are inputs of the node in their order, behind A. */
function oneNode(
  peer: Described,
  { opType, domain = '', attributes = {} }: NodeParts,
  input: readonly Dimension[],
  output: readonly Dimension[],
  constants: Readonly<Record<string, Tensor>>,
): Model {
  const node = { name: 'node', opType, domain, inputs: ['A', ...Object.keys(constants)], outputs: ['C'] };
  return {
    irVersion: 8,
    opsetImports: new Map([
      ['', 17],
      [MICROSOFT, 1],
    ]),
    graph: {
      name: 'peer',
      nodes: [{ ...node, attributes: new Map(Object.entries(attributes)) }],
      inputs: [{ name: 'A', dtype: TYPES[peer.input], shape: input }],
      outputs: [{ name: 'C', dtype: TYPES[peer.output], shape: output }],
      initializers: new Map(Object.entries(constants)),
      valueInfo: new Map(),
    },
    functions: [],
    producer: null,
  };
}

function floats(shape: readonly number[]): Tensor {
  const values = new Float32Array(countOf(shape));
  const bytes = randomBytes(values.length);
  for (let i = 0; i < values.length; i++) values[i] = ((bytes[i] as number) - 127.5) / 2000;
  return tensorFromFloats(shape, values);
}

/** −64 … 64, as ternary weights with 8-bit group codes. */
function int8s(shape: readonly number[]): Tensor {
  const bytes = randomBytes(countOf(shape));
  return tensorFromInt8(
    shape,
    Int8Array.from(bytes, (byte) => (byte % (2 * MAX_WEIGHT + 1)) - MAX_WEIGHT),
  );
}

function uint8s(shape: readonly number[]): Tensor {
  return tensorFromUint8(shape, randomBytes(countOf(shape)));
}

function countOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** The high bytes of a linear congruential generator; always the same. */
function randomBytes(count: number): Uint8Array {
  const bytes = new Uint8Array(count);
  let state = 1;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}
