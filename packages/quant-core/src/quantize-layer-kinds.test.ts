import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Recipe } from '@tritforge/contracts';
import { writeNpz } from './data/index.js';
import type { Graph, Model } from './ir/index.js';
import { readModel } from './onnx/index.js';
import { quantizeModel } from './testing/quantize-request.js';
import { gaussian, seededRandom } from './testing/random.js';
import { randomTensor } from './testing/random-tensor.js';
import { temporaryFolder } from './testing/temporary-folder.js';
import { tinyModel } from './testing/tiny-model.js';

test('a layer in a branch and operators of onnxruntime itself are handled', async (t) => {
  const branch = (name: string, weight: string): Graph => ({
    name,
    nodes: [
      {
        name: `${name}_matmul`,
        opType: 'MatMul',
        domain: '',
        inputs: ['h', weight],
        outputs: [`${name}_out`],
        attributes: new Map(),
      },
    ],
    inputs: [],
    outputs: [{ name: `${name}_out`, dtype: 'float32', shape: null }],
    initializers: weight === 'own' ? new Map([[weight, randomTensor([24, 24], 1)]]) : new Map(),
    valueInfo: new Map(),
  });
  const model = tinyModel({
    inputs: [
      ['x', 'float32', [1, 24]],
      ['flag', 'bool', []],
    ],
    outputs: [['y', 'float32', null]],
    nodes: [
      { op: 'Gelu', inputs: ['x'], outputs: ['h'] },
      {
        op: 'If',
        inputs: ['flag'],
        outputs: ['y'],
        attributes: {
          then_branch: { kind: 'graph', value: branch('then', 'own') },
          else_branch: { kind: 'graph', value: branch('else', 'shared') },
        },
      },
    ],
    constants: { shared: randomTensor([24, 24], 2) },
  });
  model.graph.nodes[0]!.domain = 'com.microsoft';
  model.opsetImports.set('com.microsoft', 1);
  const { report, request } = await quantizeModel(t, model, { weights: { groupSize: 8 }, firstLast: { bits: 2 } });
  assert.deepEqual(
    report.layers.map(({ node, applied }) => [node, applied.bits]),
    [
      ['then_matmul', 2],
      ['else_matmul', 2],
    ],
  );
  const artifact = await readModel(join(request.outputDir, report.artifacts[0]!.fileName));
  const branches = artifact.graph.nodes.find(({ opType }) => opType === 'If')!;
  for (const attribute of branches.attributes.values())
    if (attribute.kind === 'graph') assert.equal(attribute.value.initializers.size, 0);
  assert.ok(!artifact.graph.initializers.has('shared'));
});

test('one-dimensional, three-dimensional and transposed layers are quantized with their activations', async (t) => {
  const models: [string, Model][] = [
    [
      'x1',
      tinyModel({
        inputs: [['x1', 'float32', ['N', 6, 10]]],
        outputs: [['y', 'float32', null]],
        nodes: [{ op: 'Conv', inputs: ['x1', 'w', 'b'], outputs: ['y'] }],
        constants: { w: randomTensor([5, 6, 3], 1), b: randomTensor([5], 2) },
      }),
    ],
    [
      'x3',
      tinyModel({
        inputs: [['x3', 'float32', ['N', 2, 4, 4, 4]]],
        outputs: [['y', 'float32', null]],
        nodes: [{ op: 'Conv', inputs: ['x3', 'w'], outputs: ['y'] }],
        constants: { w: randomTensor([5, 2, 3, 3, 3], 3) },
      }),
    ],
    [
      'xm',
      tinyModel({
        inputs: [['xm', 'float32', ['N', 7, 9]]],
        outputs: [['y', 'float32', null]],
        nodes: [{ op: 'MatMul', inputs: ['xm', 'w'], outputs: ['y'] }],
        constants: { w: randomTensor([9, 6], 4) },
      }),
    ],
    [
      'xg',
      tinyModel({
        inputs: [['xg', 'float32', ['N', 9]]],
        outputs: [['y', 'float32', null]],
        nodes: [{ op: 'Gemm', inputs: ['xg', 'w', 'b'], outputs: ['y'] }],
        constants: { w: randomTensor([9, 6], 5), b: randomTensor([1, 6], 6) },
      }),
    ],
  ];
  const next = gaussian(seededRandom(3));
  for (const [input, model] of models) {
    const folder = temporaryFolder(t);
    const path = join(folder, 'data.npz');
    const sizes = model.graph.inputs[0]!.shape!.slice(1) as number[];
    const count = 8 * sizes.reduce((a, b) => a * b, 1);
    await writeNpz(
      path,
      new Map([
        [input, { dtype: 'float32' as const, shape: [8, ...sizes], data: Float32Array.from({ length: count }, next) }],
      ]),
    );
    for (const [method, bits] of [
      ['fgq', 2],
      ['fgq', 8],
      ['uniform', 2],
    ] as const) {
      const weights = method === 'fgq' ? { groupSize: 4 as const } : {};
      const recipe: Recipe = { method, activations: { bits: 8 }, weights, firstLast: { bits } };
      const { report } = await quantizeModel(t, model, recipe, { calibration: { path } });
      assert.deepEqual(
        report.layers.map(({ applied }) => [applied.bits, applied.activationBits]),
        [[bits, 8]],
        input,
      );
      assert.ok(
        report.layers[0]!.outputSqnrDb! > (bits === 8 ? 30 : 8),
        `${input} ${method} ${bits}: ${report.layers[0]!.outputSqnrDb} dB`,
      );
    }
  }
});

for (const method of ['fgq', 'uniform'] as const)
  test(`channels whose bias is enormous beside their weights keep their bias (${method})`, async (t) => {
    const model = tinyModel({
      inputs: [['x', 'float32', ['N', 4]]],
      outputs: [['y', 'float32', null]],
      nodes: [{ op: 'Gemm', inputs: ['x', 'w', 'b'], outputs: ['y'], attributes: {} }],
      constants: { w: randomTensor([4, 3], 1, 1e-12), b: randomTensor([3], 2, 50) },
    });
    const folder = temporaryFolder(t);
    const path = join(folder, 'data.npz');
    await writeNpz(
      path,
      new Map([
        ['x', { dtype: 'float32' as const, shape: [4, 4], data: Float32Array.from({ length: 16 }, (_, i) => i / 16) }],
      ]),
    );
    const recipe: Recipe = {
      method,
      activations: { bits: 8 },
      ...(method === 'uniform' && { firstLast: { bits: 2 } }),
    };
    const { report } = await quantizeModel(t, model, recipe, { calibration: { path } });
    assert.ok(report.layers[0]!.outputSqnrDb! > 80, `${report.layers[0]!.outputSqnrDb} dB`);
  });
