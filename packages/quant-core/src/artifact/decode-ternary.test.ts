import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { pack2, ternarize, toInt8Weights, type WeightLayout } from '../fgq/index.js';
import { type Graph, type Model, readFloats, tensorFromInt8, tensorFromUint8 } from '../ir/index.js';
import type { EncodedWeight } from '../layers/encoded-weight.js';
import { writeModel } from '../onnx/index.js';
import { createOnnxRuntime } from '../runtime/onnx-runtime.js';
import { randomTensor } from '../testing/random-tensor.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { tinyModel } from '../testing/tiny-model.js';
import { decodeTernary } from './decode-ternary.js';
import { GraphBuilder } from './graph-builder.js';

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

async function encoded(
  shape: readonly number[],
  groupSize: number,
  transposed: boolean,
): Promise<EncodedWeight & { expected: Int8Array }> {
  const [outputChannels, inputChannels, ...kernel] = shape as [number, number, ...number[]];
  const layout: WeightLayout = { outputChannels, inputChannels, taps: kernel.reduce((a, b) => a * b, 1) };
  const ternary = ternarize(await readFloats(randomTensor(shape, 3)), layout, groupSize);
  return {
    codes: {
      kind: 'ternary',
      layout,
      groupSize,
      packed: tensorFromUint8([Math.ceil(ternary.codes.length / 4)], pack2(ternary.codes)),
      groupCodes: tensorFromInt8([ternary.groupCodes.length], Int8Array.from(ternary.groupCodes)),
    },
    channelScales: ternary.channelScales,
    shape: transposed ? [inputChannels, outputChannels] : shape,
    transposed,
    decoded: null,
    expected: toInt8Weights(ternary),
  };
}

/** A model that has decoded weights as its only outputs. */
function decodingModel(weights: readonly EncodedWeight[], multiply: 'int8' | 'float'): Model {
  const empty = tinyModel({ inputs: [], outputs: [], nodes: [], opset: multiply === 'int8' ? 14 : 13 });
  const builder = new GraphBuilder(empty);
  const outputs = weights.map((weight, i) => {
    if (weight.codes.kind !== 'ternary') throw new TypeError();
    const name = decodeTernary(builder, `w${i}`, weight, weight.codes, multiply);
    return { name, dtype: 'int8' as const, shape: weight.shape };
  });
  const graph: Graph = { ...empty.graph, nodes: builder.nodes, outputs, initializers: builder.initializers };
  return { ...empty, graph };
}

for (const multiply of ['int8', 'float'] as const) {
  test(`packed weights decode to exactly the int8 weights of the engine, multiplied as ${multiply}`, async (t: TestContext) => {
    const weights = [];
    for (const groupSize of [4, 8, 16, 32, 64]) {
      for (const shape of SHAPES) weights.push(await encoded(shape, groupSize, false));
      for (const shape of SHAPES.filter(({ length }) => length === 2))
        weights.push(await encoded(shape, groupSize, true));
    }
    const model = decodingModel(weights, multiply);
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
