import {
  type Attribute,
  floatValue,
  type Graph,
  intsValue,
  intValue,
  type Model,
  scalarFloat,
  type Tensor,
  tensorFromFloats,
  tensorFromInt64,
} from '../ir/index.js';
import { randomTensor } from './random-tensor.js';
import { type TinyNode, tinyModel } from './tiny-model.js';

/** Sizes of the decoders below. */
export const DECODER = { vocabulary: 96, width: 64, heads: 4, kvHeads: 2, headWidth: 16, positions: 128 } as const;

const { vocabulary, width, heads, kvHeads, headWidth, positions } = DECODER;

/**
 * How a decoder makes logits: MatMul with the Transpose of the embedding, Gemm with the embedding or its Transpose, or MatMul with
 * a weight of its own.
 */
export type DecoderHead = 'transposed' | 'gemm' | 'transposedGemm' | 'own';

/**
 * A decoder with a KV cache in standard operators: embedding, rotary angles looked up by position, grouped queries, a mask, a layer
 * whose weight is the left operand, LayerNormalization and Gemms of both kinds. Random weights.
 */
export function smallDecoder(head: DecoderHead): Model {
  return tinyModel({
    inputs: INPUTS,
    outputs: OUTPUTS,
    nodes: [
      node('Gather', ['embedding', 'input_ids'], 'x'),
      ...['cosines', 'sines'].flatMap((table) => [
        node('Gather', [table, 'position_ids'], `${table}_rows`),
        node('Unsqueeze', [`${table}_rows`, 'axis1'], `${table}_of_heads`),
      ]),
      ...projection('q', 'query_heads'),
      ...projection('k', 'kv_heads'),
      ...projection('v', 'kv_heads'),
      ...rotation('q'),
      ...rotation('k'),
      node('Concat', [CACHE[0], 'k_turned'], 'present.0.key', { axis: intValue(2) }),
      node('Concat', [CACHE[1], 'v'], 'present.0.value', { axis: intValue(2) }),
      ...repetition('present.0.key', 'keys'),
      ...repetition('present.0.value', 'values'),
      node('Transpose', ['keys'], 'key_columns', { perm: intsValue([0, 1, 3, 2]) }),
      node('MatMul', ['q_turned', 'key_columns'], 'products'),
      node('Mul', ['products', 'scale'], 'scores'),
      ...maskNodes(),
      node('Add', ['scores', 'penalties'], 'masked_scores'),
      node('Softmax', ['masked_scores'], 'shares', { axis: intValue(-1) }),
      node('MatMul', ['shares', 'values'], 'mixed'),
      node('Transpose', ['mixed'], 'mixed_positions', { perm: intsValue([0, 2, 1, 3]) }),
      node('Reshape', ['mixed_positions', 'joined'], 'mixed_rows'),
      node('MatMul', ['mixed_rows', 'wo'], 'attended'),
      node('Add', ['x', 'attended'], 'x1'),
      node('LayerNormalization', ['x1', 'gamma'], 'normal'),
      node('Transpose', ['normal'], 'columns', { perm: intsValue([0, 2, 1]) }),
      node('MatMul', ['left', 'columns'], 'left_columns'),
      node('Transpose', ['left_columns'], 'left_rows', { perm: intsValue([0, 2, 1]) }),
      ...feedForward('left_rows'),
      node('Add', ['x1', 'fed_forward'], 'x2'),
      ...headNodes(head),
    ],
    constants: {
      ...SHAPES,
      ...angleTables(headWidth),
      embedding: randomTensor([vocabulary, width], 1),
      wq: weight([width, heads * headWidth], 2),
      wk: weight([width, kvHeads * headWidth], 3),
      wv: weight([width, kvHeads * headWidth], 4),
      wo: weight([heads * headWidth, width], 5),
      left: weight([width, width], 6),
      gamma: randomTensor([width], 7, 0.2, 1),
      up: weight([2 * width, width], 8),
      up_bias: randomTensor([2 * width], 9, 0.1),
      down: weight([2 * width, width], 10),
      ...(head === 'own' && { own: weight([width, vocabulary], 11) }),
    },
  });
}

/**
 * The same in operators of the domain com.microsoft: SkipSimplifiedLayerNormalization, RotaryEmbedding, GroupQueryAttention with the
 * cache, and MultiHeadAttention.
 */
export function contribDecoder(): Model {
  const contrib = (
    op: string,
    inputs: string[],
    outputs: string[],
    attributes: Readonly<Record<string, Attribute>> = {},
  ): TinyNode => ({ op, domain: 'com.microsoft', name: outputs[0]!, inputs, outputs, attributes });
  const counts = { num_heads: intValue(heads), kv_num_heads: intValue(kvHeads) };
  return tinyModel({
    inputs: INPUTS,
    outputs: OUTPUTS,
    nodes: [
      node('Gather', ['embedding', 'input_ids'], 'x'),
      node('ReduceSum', ['attention_mask', 'axis1'], 'seen', { keepdims: intValue(0) }),
      node('Sub', ['seen', 'one_long'], 'last_long'),
      node('Cast', ['last_long'], 'last', { to: intValue(6) }),
      node('Shape', ['attention_mask'], 'mask_shape'),
      node('Gather', ['mask_shape', 'index1'], 'total_long'),
      node('Cast', ['total_long'], 'total', { to: intValue(6) }),
      ...['q', 'k', 'v'].map((name) => node('MatMul', ['x', `w${name}`], name)),
      contrib(
        'GroupQueryAttention',
        ['q', 'k', 'v', ...CACHE, 'last', 'total', 'cosines', 'sines'],
        ['attended', 'present.0.key', 'present.0.value'],
        { ...counts, do_rotary: intValue(1) },
      ),
      node('MatMul', ['attended', 'wo'], 'projected'),
      contrib('SkipSimplifiedLayerNormalization', ['projected', 'x', 'gamma'], ['normal', '', '', 'x1'], {
        epsilon: floatValue(1e-5),
      }),
      node('MatMul', ['normal', 'wq2'], 'q2'),
      contrib('RotaryEmbedding', ['q2', 'position_ids', 'cosines', 'sines'], ['turned'], {
        num_heads: intValue(heads),
      }),
      contrib('MultiHeadAttention', ['turned', 'normal', 'normal'], ['again'], { num_heads: intValue(heads) }),
      ...feedForward('again'),
      node('Add', ['x1', 'fed_forward'], 'x2'),
      ...headNodes('transposed'),
    ],
    constants: {
      ...SHAPES,
      one_long: tensorFromInt64([], [1]),
      index1: tensorFromInt64([], [1]),
      ...angleTables(headWidth / 2),
      embedding: randomTensor([vocabulary, width], 1),
      wq: weight([width, heads * headWidth], 2),
      wk: weight([width, kvHeads * headWidth], 3),
      wv: weight([width, kvHeads * headWidth], 4),
      wo: weight([heads * headWidth, width], 5),
      wq2: weight([width, heads * headWidth], 6),
      gamma: randomTensor([width], 7, 0.2, 1),
      up: weight([2 * width, width], 8),
      up_bias: randomTensor([2 * width], 9, 0.1),
      down: weight([2 * width, width], 10),
    },
  });
}

/** Looks tokens up in a branch, in the same table whichever it is, and makes logits of them. */
export function branchedEncoder(): Model {
  const branch = (name: string): Graph => ({
    name,
    nodes: [
      {
        name,
        opType: 'Gather',
        domain: '',
        inputs: ['embedding', 'input_ids'],
        outputs: [`${name}_rows`],
        attributes: new Map(),
      },
    ],
    inputs: [],
    outputs: [{ name: `${name}_rows`, dtype: 'float32', shape: null }],
    initializers: new Map(),
    valueInfo: new Map(),
  });
  return tinyModel({
    inputs: [['input_ids', 'int64', ['batch_size', 'sequence_length']]],
    outputs: OUTPUTS.slice(0, 1),
    nodes: [
      node('Size', ['input_ids'], 'count'),
      node('Greater', ['count', 'several'], 'is_long'),
      node('If', ['is_long'], 'x', {
        then_branch: { kind: 'graph', value: branch('long') },
        else_branch: { kind: 'graph', value: branch('short') },
      }),
      ...headNodes('own').map((head) => ({ ...head, inputs: ['x', 'own'] })),
    ],
    constants: {
      embedding: randomTensor([vocabulary, width], 1),
      own: weight([width, vocabulary], 11),
      several: tensorFromInt64([], [4]),
    },
  });
}

const TOKEN_INPUTS = [
  ['input_ids', 'int64', ['batch_size', 'sequence_length']],
  ['attention_mask', 'int64', ['batch_size', 'past_sequence_length + 1']],
] as const;
const CACHE = ['past_key_values.0.key', 'past_key_values.0.value'] as const;
const CACHE_SHAPE = ['batch_size', kvHeads, 'past_sequence_length', headWidth] as const;
const INPUTS = [
  ...TOKEN_INPUTS,
  ['position_ids', 'int64', ['batch_size', 'sequence_length']] as const,
  ...CACHE.map((name) => [name, 'float32', CACHE_SHAPE] as const),
];
const OUTPUTS = [
  ['logits', 'float32', ['batch_size', 'sequence_length', vocabulary]],
  ['present.0.key', 'float32', null],
  ['present.0.value', 'float32', null],
] as const;
const SHAPES: Readonly<Record<string, Tensor>> = {
  query_heads: tensorFromInt64([4], [0, 0, heads, headWidth]),
  kv_heads: tensorFromInt64([4], [0, 0, kvHeads, headWidth]),
  joined: tensorFromInt64([3], [0, 0, width]),
  flat: tensorFromInt64([2], [-1, width]),
  repeats: tensorFromInt64([5], [1, 1, heads / kvHeads, 1, 1]),
  repeated: tensorFromInt64([4], [0, heads, -1, headWidth]),
  vocabulary: tensorFromInt64([1], [vocabulary]),
  axis1: tensorFromInt64([1], [1]),
  axis2: tensorFromInt64([1], [2]),
  middle: tensorFromInt64([1], [headWidth / 2]),
  zero: tensorFromInt64([1], [0]),
  end: tensorFromInt64([1], [headWidth]),
  last_axis: tensorFromInt64([1], [-1]),
  one: scalarFloat(1),
  far: scalarFloat(-10_000),
  scale: scalarFloat(1 / Math.sqrt(headWidth)),
};

/** A node that is named like its output. */
function node(
  op: string,
  inputs: readonly string[],
  output: string,
  attributes: Readonly<Record<string, Attribute>> = {},
): TinyNode {
  return { op, name: output, inputs, outputs: [output], attributes };
}

function weight(shape: readonly [number, number], seed: number): Tensor {
  return randomTensor(shape, seed, 1 / Math.sqrt(width));
}

function angleTables(columns: number): Record<string, Tensor> {
  const table = (of: (angle: number) => number) =>
    tensorFromFloats(
      [positions, columns],
      Float32Array.from({ length: positions * columns }, (_, i) => {
        const [position, column] = [Math.floor(i / columns), (i % columns) % (headWidth / 2)];
        return of(position / 10_000 ** ((2 * column) / headWidth));
      }),
    );
  return { cosines: table(Math.cos), sines: table(Math.sin) };
}

/** x → [N, heads, T, head width] */
function projection(name: string, shape: string): TinyNode[] {
  return [
    node('MatMul', ['x', `w${name}`], `${name}_rows`),
    node('Reshape', [`${name}_rows`, shape], `${name}_positions`),
    node('Transpose', [`${name}_positions`], name, { perm: intsValue([0, 2, 1, 3]) }),
  ];
}

/** x·cos + (−x₂, x₁)·sin */
function rotation(name: string): TinyNode[] {
  return [
    node('Slice', [name, 'zero', 'middle', 'last_axis'], `${name}_first`),
    node('Slice', [name, 'middle', 'end', 'last_axis'], `${name}_second`),
    node('Neg', [`${name}_second`], `${name}_negative`),
    node('Concat', [`${name}_negative`, `${name}_first`], `${name}_swapped`, { axis: intValue(-1) }),
    node('Mul', [name, 'cosines_of_heads'], `${name}_along`),
    node('Mul', [`${name}_swapped`, 'sines_of_heads'], `${name}_across`),
    node('Add', [`${name}_along`, `${name}_across`], `${name}_turned`),
  ];
}

/** Heads of keys and values for every query head. */
function repetition(from: string, to: string): TinyNode[] {
  return [
    node('Unsqueeze', [from, 'axis2'], `${to}_once`),
    node('Tile', [`${to}_once`, 'repeats'], `${to}_grouped`),
    node('Reshape', [`${to}_grouped`, 'repeated'], to),
  ];
}

function maskNodes(): TinyNode[] {
  return [
    node('Cast', ['attention_mask'], 'mask', { to: intValue(1) }),
    node('Sub', ['one', 'mask'], 'hidden'),
    node('Mul', ['hidden', 'far'], 'penalty'),
    node('Unsqueeze', ['penalty', 'axis1'], 'penalty_of_heads'),
    node('Unsqueeze', ['penalty_of_heads', 'axis1'], 'penalties'),
  ];
}

function feedForward(from: string): TinyNode[] {
  return [
    node('Reshape', [from, 'flat'], 'flat_rows'),
    node('Gemm', ['flat_rows', 'up', 'up_bias'], 'upper', { transB: intValue(1) }),
    node('Relu', ['upper'], 'positive'),
    node('Gemm', ['positive', 'down'], 'lower'),
    node('Shape', ['x'], 'x_shape'),
    node('Reshape', ['lower', 'x_shape'], 'fed_forward'),
  ];
}

function headNodes(head: DecoderHead): TinyNode[] {
  if (head === 'own') return [node('MatMul', ['x2', 'own'], 'logits')];
  const turned = node('Transpose', ['embedding'], 'turned_embedding', { perm: intsValue([1, 0]) });
  if (head === 'transposed') return [turned, node('MatMul', ['x2', 'turned_embedding'], 'logits')];
  const isPlain = head === 'gemm';
  return [
    ...(isPlain ? [] : [turned]),
    node('Reshape', ['x2', 'flat'], 'last_rows'),
    node('Gemm', ['last_rows', isPlain ? 'embedding' : 'turned_embedding'], 'flat_logits', {
      transB: intValue(isPlain ? 1 : 0),
    }),
    node('Shape', ['input_ids'], 'ids_shape'),
    node('Concat', ['ids_shape', 'vocabulary'], 'logits_shape', { axis: intValue(0) }),
    node('Reshape', ['flat_logits', 'logits_shape'], 'logits'),
  ];
}
