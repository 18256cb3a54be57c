import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  type CodePlane,
  type GroupedWeights,
  pack2,
  ternarize,
  ternarizeTwice,
  toInt8Weights,
  type WeightLayout,
} from '../fgq/index.js';
import { INT2_UNITS, int2Units, packInt2, quantizeInt2 } from '../int2/index.js';
import { pack4, quantizeInt4 } from '../int4/index.js';
import { type Graph, type Model, readFloats, tensorFromInt8, tensorFromUint8 } from '../ir/index.js';
import type { EncodedWeight } from '../layers/encoded-weight.js';
import { writeModel } from '../onnx/index.js';
import { GraphBuilder } from '../passes/graph-builder.js';
import { createOnnxRuntime } from '../runtime/onnx-runtime.js';
import { randomTensor } from '../testing/random-tensor.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { tinyModel } from '../testing/tiny-model.js';
import type { DecodingType } from './decode-groups.js';
import { decodeWeight } from './decode-weight.js';

/** Shapes around every boundary: N divides IC or not, IC below N, a number of codes that no byte ends with. */
const SHAPES: readonly (readonly number[])[] = [
  [8, 64, 3, 3],
  [5, 7, 3, 3],
  [3, 5, 1],
  [4, 6],
  [1, 1],
  [6, 130, 2, 1, 2],
  [16, 128],
  [9, 33],
];

type Solver = (weights: Float32Array, layout: WeightLayout, groupSize: number) => GroupedWeights;
const SOLVERS: Readonly<Record<'ternary' | 'two planes' | 'int4', Solver>> = {
  ternary: ternarize,
  'two planes': ternarizeTwice,
  int4: quantizeInt4,
};

async function encoded(
  shape: readonly number[],
  groupSize: number,
  transposed: boolean,
  format: 'ternary' | 'two planes' | 'int4' = 'ternary',
): Promise<EncodedWeight & { expected: Int8Array }> {
  const [outputChannels, inputChannels, ...kernel] = shape as [number, number, ...number[]];
  const layout: WeightLayout = { outputChannels, inputChannels, taps: kernel.reduce((a, b) => a * b, 1) };
  const grouped = SOLVERS[format](await readFloats(randomTensor(shape, 3)), layout, groupSize);
  const stored = ({ codes, groupCodes }: CodePlane) => ({
    packed:
      format === 'int4'
        ? tensorFromUint8([Math.ceil(codes.length / 2)], pack4(codes))
        : tensorFromUint8([Math.ceil(codes.length / 4)], pack2(codes)),
    groupCodes: tensorFromInt8([groupCodes.length], Int8Array.from(groupCodes)),
  });
  return {
    codes: {
      kind: format === 'int4' ? 'int4' : 'ternary',
      layout,
      groupSize,
      ...stored(grouped),
      residual: grouped.residual ? stored(grouped.residual) : null,
    },
    channelScales: grouped.channelScales,
    shape: transposed ? [inputChannels, outputChannels] : shape,
    transposed,
    decoded: null,
    expected: toInt8Weights(grouped),
  };
}

async function encodedInt2(
  shape: readonly number[],
  transposed: boolean,
): Promise<EncodedWeight & { expected: Int8Array }> {
  const [outputChannels, inputChannels, ...kernel] = shape as [number, number, ...number[]];
  const layout: WeightLayout = { outputChannels, inputChannels, taps: kernel.reduce((a, b) => a * b, 1) };
  const { values, scales } = quantizeInt2(await readFloats(randomTensor(shape, 3)), layout);
  const bytes = packInt2(values);
  return {
    codes: { kind: 'int2', layout, packed: tensorFromUint8([bytes.length], bytes) },
    channelScales: int2Units(scales),
    shape: transposed ? [inputChannels, outputChannels] : shape,
    transposed,
    decoded: null,
    expected: values.map((value) => INT2_UNITS * value),
  };
}

/** A model that has decoded weights as its only outputs. */
function decodingModel(weights: readonly EncodedWeight[], type: DecodingType): Model {
  const empty = tinyModel({ inputs: [], outputs: [], nodes: [], opset: type === 'int8' ? 14 : 13 });
  const builder = new GraphBuilder(empty);
  const outputs = weights.map((weight, i) => {
    if (weight.codes.kind === 'int8') throw new TypeError();
    const name = decodeWeight(builder, `w${i}`, weight, weight.codes, type);
    return { name, dtype: 'int8' as const, shape: weight.shape };
  });
  const graph: Graph = { ...empty.graph, nodes: builder.nodes, outputs, initializers: builder.initializers };
  return { ...empty, graph };
}

for (const type of ['int8', 'float'] as const) {
  test(`packed weights decode to exactly the int8 weights of the engine, computed as ${type}`, async (t: TestContext) => {
    const weights = [];
    for (const format of ['ternary', 'two planes', 'int4'] as const) {
      for (const groupSize of [4, 8, 16, 32, 64, 128]) {
        for (const shape of SHAPES) weights.push(await encoded(shape, groupSize, false, format));
        for (const shape of SHAPES.filter(({ length }) => length === 2))
          weights.push(await encoded(shape, groupSize, true, format));
      }
    }
    for (const shape of SHAPES) weights.push(await encodedInt2(shape, false));
    for (const shape of SHAPES.filter(({ length }) => length === 2)) weights.push(await encodedInt2(shape, true));
    const model = decodingModel(weights, type);
    const path = join(temporaryFolder(t), 'decode.onnx');
    await writeModel(model, path);
    for (const optimization of ['none', 'all'] as const) {
      const session = await createOnnxRuntime().load(path, { threads: 1, optimization });
      const outputs = await session.run(new Map());
      await session.release();
      weights.forEach((weight, i) => {
        const output = outputs.get(model.graph.outputs[i]!.name)!;
        assert.deepEqual(output.shape, weight.shape);
        assert.deepEqual(inRows(output.data as Int8Array, weight), weight.expected, `weight ${i} of ${weight.shape}`);
      });
    }
  });
}

/** Back to [OC, IC]. */
function inRows(values: Int8Array, { transposed, shape }: EncodedWeight): Int8Array {
  if (!transposed) return values;
  const [inputs, outputs] = shape as [number, number];
  return Int8Array.from(values, (_, i) => values[(i % inputs) * outputs + Math.floor(i / inputs)]!);
}

test('two weights share the table, the shapes and the group index', async () => {
  const weights = [await encoded([9, 33], 8, false), await encoded([9, 33], 8, false)];
  const names = [...decodingModel(weights, 'int8').graph.initializers.keys()];
  assert.equal(names.filter((name) => name.startsWith('ternary_codes_of_byte')).length, 1);
  assert.equal(names.filter((name) => name.startsWith('group_of_input')).length, 1);
  assert.equal(names.filter((name) => name.endsWith('_ternary')).length, 2);
});
