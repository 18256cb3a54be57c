import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  checkRecipe,
  type LayerReport,
  OPTIONAL_PHASES,
  PHASES,
  type Recipe,
  type Report,
  resolveRecipe,
} from '@tritforge/contracts';
import { MAX_ENCODING_ERROR, MIN_SQNR_DB } from './artifact/verify.js';
import { readModel, validateModel } from './onnx/index.js';
import { type PhaseProgress, type QuantizeRequest, quantize } from './quantize.js';
import { createOnnxRuntime } from './runtime/onnx-runtime.js';
import { checkReport } from './testing/check-report.js';
import { quantizeModel, smallRequest } from './testing/quantize-request.js';
import { randomTensor } from './testing/random-tensor.js';
import { SMALL_SAMPLES, smallNetwork } from './testing/small-network.js';
import { temporaryFolder } from './testing/temporary-folder.js';
import { tinyModel } from './testing/tiny-model.js';

const runtime = createOnnxRuntime();

test('all profiles compute what the engine computes, and the report says what was done', async (t) => {
  const request = await smallRequest(t, {
    weights: { groupSize: 4 },
    artifacts: ['compat', 'accelerated', 'portable'],
  });
  const seen: PhaseProgress[] = [];
  const report = await quantize(request, { runtime, onProgress: (progress) => seen.push(progress) });

  assert.deepEqual(
    report.artifacts.map(({ profile, fileName, opset }) => [profile, fileName, opset]),
    [
      ['portable', 'small.fgq-n4.portable.onnx', 14],
      ['compat', 'small.fgq-n4.compat.onnx', 13],
      ['accelerated', 'small.fgq-n4.accelerated.onnx', 14],
    ],
  );
  for (const { verification, fileName, sizeBytes } of report.artifacts) {
    assert.equal(verification.passed, true);
    assert.ok(verification.encodingMaxAbsError! <= MAX_ENCODING_ERROR);
    assert.ok(verification.sqnrDb! >= MIN_SQNR_DB + 20, `${verification.sqnrDb} dB`);
    assert.equal((await readFile(join(request.outputDir, fileName))).byteLength, sizeBytes);
    await validateModel(await readModel(join(request.outputDir, fileName)));
  }
  assert.deepEqual(
    report.layers.map(({ node, applied }) => [node, applied.bits]),
    [
      ['stem', 8],
      ['depthwise', 8],
      ['down', 2],
      ['left', 2],
      ['right', 2],
      ['classifier', 8],
    ],
  );
  for (const layer of report.layers) {
    assert.ok(layer.outputSqnrDb! > 3, `${layer.node}: ${layer.outputSqnrDb} dB`);
    assert.equal(layer.zeros === null, layer.applied.bits === 8);
    assert.ok(
      layer.applied.bits === 8 ? layer.weightError! < 1e-3 : layer.weightError! > 0.03 && layer.weightError! < 0.2,
    );
  }
  const ternary = report.layers.filter(({ applied }) => applied.bits === 2);
  const sizeOf = ({ shape }: LayerReport) => shape!.reduce((product, size) => product * size, 1);
  const ternarySize = ternary.reduce((sum, layer) => sum + sizeOf(layer), 0);
  const ternaryBits = ternary.reduce((sum, layer) => sum + layer.bitsPerWeight! * sizeOf(layer), 0);
  for (const { bitsPerWeight } of report.artifacts) {
    assert.ok(Math.abs(bitsPerWeight.lowBitLayers! - ternaryBits / ternarySize) < 1e-9);
    assert.ok(bitsPerWeight.lowBitLayers! < bitsPerWeight.quantizedLayers!);
  }
  for (const { shape, histogram } of report.layers) {
    const weightCount = shape!.reduce((product, size) => product * size, 1);
    for (const counts of [histogram!.original, histogram!.quantized]) {
      assert.equal(
        counts.reduce((sum, count) => sum + count, 0),
        weightCount,
      );
    }
  }
  assert.equal(report.accuracy?.samples, SMALL_SAMPLES);
  assert.ok(report.latency!.int8Ms! > 0);
  assert.equal(report.provenance.datasets.length, 2);
  checkRecipe(report.provenance.recipe as Recipe);
  assert.deepEqual(resolveRecipe(report.provenance.recipe as Recipe), resolveRecipe(request.recipe));
  assert.deepEqual(
    [...new Set(seen.map(({ phase }) => phase))],
    PHASES.filter((phase) => phase !== 'publish' && !OPTIONAL_PHASES.has(phase)),
  );
  assert.deepEqual(await readdir(request.scratchDir), [], 'scratch files are left');
});

test('two runs give the same bytes', async (t) => {
  const requests = [
    await smallRequest(t, { artifacts: ['portable', 'compat', 'accelerated'] }),
    await smallRequest(t, { artifacts: ['portable', 'compat', 'accelerated'] }),
  ];
  const reports: Report[] = [];
  for (const request of requests) reports.push(await quantize(request, { runtime }));
  const digests = reports.map((report) => [...report.artifacts.map(({ digest }) => digest), report.baseline!.digest]);
  assert.deepEqual(digests[0], digests[1]);
});

test('the int8 recipe is its own baseline and keeps the outputs of the original', async (t) => {
  const report = await quantize(await smallRequest(t, { method: 'int8' }), { runtime });
  assert.equal(report.baseline, null);
  assert.equal(report.artifacts[0]!.bitsPerWeight.lowBitLayers, null);
  assert.equal(report.latency?.int8Ms, null);
  assert.ok(report.layers.every(({ applied }) => applied.bits === 8));
  assert.ok(report.layers.at(-1)!.outputSqnrDb! > 25, `${report.layers.at(-1)!.outputSqnrDb} dB`);
});

test('inputs of 4 bits are verified, reported per layer, and compared with an int8 model of 8 bits', async (t) => {
  const artifacts = ['portable', 'compat'] as const;
  const eight = await quantize(await smallRequest(t, { weights: { groupSize: 4 } }), { runtime });
  const request = await smallRequest(t, {
    weights: { groupSize: 4 },
    activations: { bits: 4 },
    artifacts: [...artifacts],
  });
  const report = await quantize(request, { runtime });
  assert.deepEqual(
    report.artifacts.map(({ fileName }) => fileName),
    artifacts.map((profile) => `small.fgq-n4-a4.${profile}.onnx`),
  );
  for (const { fileName, verification } of report.artifacts) {
    assert.ok(verification.encodingMaxAbsError! <= MAX_ENCODING_ERROR);
    assert.ok(verification.sqnrDb! >= MIN_SQNR_DB, `${verification.sqnrDb} dB`);
    const artifact = await readModel(join(request.outputDir, fileName));
    await validateModel(artifact);
    if (fileName.includes('portable')) await checkReport(report, smallNetwork(), artifact);
  }
  assert.deepEqual(
    report.layers.map(({ node, requested, applied }) => [node, requested.activationBits, applied.activationBits]),
    [
      ['stem', 8, 8],
      ['depthwise', 4, 8],
      ['down', 4, 4],
      ['left', 4, 4],
      ['right', 4, 4],
      ['classifier', 8, 8],
    ],
  );
  assert.equal(report.baseline!.digest, eight.baseline!.digest);
});

test('int8 weights may have inputs of 4 bits; the baseline then is the int8 model of 8 bits', async (t) => {
  const recipe: Recipe = { method: 'int8', weights: { solver: 'exact' } };
  const eight = await quantize(await smallRequest(t, recipe), { runtime });
  const report = await quantize(await smallRequest(t, { ...recipe, activations: { bits: 4 } }), { runtime });
  assert.equal(report.artifacts[0]!.fileName, 'small.int8-a4.portable.onnx');
  assert.equal(report.baseline!.digest, eight.artifacts[0]!.digest);
  const lastSqnrDb = report.layers.at(-1)!.outputSqnrDb!;
  assert.ok(lastSqnrDb > 10 && lastSqnrDb < eight.layers.at(-1)!.outputSqnrDb! - 6, `${lastSqnrDb} dB`);
});

test('second planes are in all profiles, in the bits per weight, and nearer to the original', async (t) => {
  const weights = { groupSize: 4 as const, residualPlanes: [{ name: 'left' }] };
  const one = await quantize(await smallRequest(t, { weights: { groupSize: 4 } }), { runtime });
  const request = await smallRequest(t, { weights, artifacts: ['portable', 'compat', 'accelerated'] });
  const report = await quantize(request, { runtime });
  const layerOf = ({ layers }: Report, name: string) => layers.find(({ node }) => node === name)!;
  const [single, double] = [layerOf(one, 'left'), layerOf(report, 'left')];
  assert.deepEqual([single.applied.planes, double.applied.planes], [1, 2]);
  assert.deepEqual(double.requested, double.applied);
  assert.deepEqual(layerOf(report, 'right'), layerOf(one, 'right'));
  assert.ok(double.weightError! < 0.2 * single.weightError!, `${double.weightError} against ${single.weightError}`);
  assert.ok(double.outputSqnrDb! > single.outputSqnrDb! + 3, `${double.outputSqnrDb} and ${single.outputSqnrDb} dB`);
  // 12 × 16 weights: 2-bit codes, and 8 bits for four weights, once more.
  assert.equal(double.bitsPerWeight! - single.bitsPerWeight!, 4);
  for (const { fileName, verification } of report.artifacts) {
    assert.ok(verification.encodingMaxAbsError! <= MAX_ENCODING_ERROR);
    assert.ok(verification.sqnrDb! >= MIN_SQNR_DB + 20, `${fileName}: ${verification.sqnrDb} dB`);
    const artifact = await readModel(join(request.outputDir, fileName));
    await validateModel(artifact);
    if (fileName.includes('portable')) await checkReport(report, smallNetwork(), artifact);
  }
});

test('4-bit weights in groups are in all profiles and nearer to the original than ternary ones', async (t) => {
  const weights = { groupSize: 32 as const };
  const ternary = await quantize(await smallRequest(t, { weights }), { runtime });
  const request = await smallRequest(t, {
    method: 'int4',
    weights,
    artifacts: ['portable', 'compat', 'accelerated'],
  });
  const report = await quantize(request, { runtime });
  assert.deepEqual(
    report.layers.map(({ applied }) => applied.bits),
    [8, 8, 4, 4, 4, 8],
  );
  report.layers.forEach((layer, i) => {
    if (layer.applied.bits !== 4) return;
    assert.ok(layer.weightError! < 0.02 && layer.zeros === null, `${layer.node}: ${layer.weightError}`);
    assert.ok(layer.outputSqnrDb! > ternary.layers[i]!.outputSqnrDb! + 6, `${layer.node}: ${layer.outputSqnrDb} dB`);
  });
  for (const { fileName, verification } of report.artifacts) {
    assert.match(fileName, /^small\.int4-n32\./);
    assert.ok(verification.encodingMaxAbsError! <= MAX_ENCODING_ERROR);
    assert.ok(verification.sqnrDb! >= MIN_SQNR_DB + 20, `${fileName}: ${verification.sqnrDb} dB`);
    const artifact = await readModel(join(request.outputDir, fileName));
    await validateModel(artifact);
    if (fileName.includes('portable')) await checkReport(report, smallNetwork(), artifact);
  }
});

for (const bits of [8, 4, 2] as const) {
  test(`uniform 2-bit weights with ${bits}-bit inputs equal the reference in all profiles`, async (t) => {
    const profiles = ['portable', 'compat', 'accelerated', 'ort-nbits'] as const;
    const request = await smallRequest(t, {
      method: 'uniform',
      ...(bits !== 2 && { activations: { bits, minimumSqnrDb: null } }),
      layers: [{ match: { name: 'right' }, set: { groupSize: 4 } }],
      artifacts: [...profiles],
    });
    const report = await quantize(request, { runtime });
    const part = bits === 8 ? '' : `-a${bits}`;
    assert.deepEqual(
      report.artifacts.map(({ fileName }) => fileName),
      profiles.map((profile) => `small.uniform${part}.${profile}.onnx`),
    );
    assert.deepEqual(
      report.layers.map(({ applied }) => [applied.bits, applied.groupSize, applied.planes, applied.activationBits]),
      [
        [8, null, null, 8],
        [8, null, null, 8],
        [2, null, null, bits],
        [2, null, null, bits],
        [2, 4, 1, bits],
        [8, null, null, 8],
      ],
    );
    assert.match(report.layers[1]!.reason!, /depthwise/);
    for (const { node, applied, weightError, zeros } of report.layers) {
      if (applied.bits !== 2) continue;
      assert.ok(weightError! > 0.03 && weightError! < 0.4, `${node}: ${weightError}`);
      assert.equal(zeros === null, node !== 'right', node);
    }
    for (const { fileName, verification } of report.artifacts) {
      assert.equal(verification.passed, true);
      assert.ok(verification.encodingMaxAbsError! <= MAX_ENCODING_ERROR);
      assert.ok(verification.sqnrDb! >= MIN_SQNR_DB, `${fileName}: ${verification.sqnrDb} dB`);
      const artifact = await readModel(join(request.outputDir, fileName));
      await validateModel(artifact);
      if (fileName.includes('portable')) await checkReport(report, smallNetwork(), artifact);
    }
  });
}

test('the first, the last and depthwise layers are uniform too where the recipe asks for it', async (t) => {
  const request = await smallRequest(t, {
    method: 'uniform',
    firstLast: { bits: 2 },
    layers: [{ match: { depthwise: true }, set: { bits: 2 } }],
    activations: { bits: 8 },
    artifacts: ['portable', 'compat', 'accelerated'],
  });
  const report = await quantize(request, { runtime });
  assert.ok(report.layers.every(({ applied }) => applied.bits === 2 && applied.groupSize === null));
  assert.ok(report.artifacts.every(({ verification }) => verification.encodingMaxAbsError! <= MAX_ENCODING_ERROR));
  await checkReport(report, smallNetwork(), await readModel(join(request.outputDir, report.artifacts[0]!.fileName)));
});

test('sensitivities of a uniform network include its own precision', async (t) => {
  const report = await quantize(await smallRequest(t, { method: 'uniform', sensitivity: true }), { runtime });
  for (const { applied, sensitivity, damages } of report.layers.filter((layer) => layer.applied.bits === 2)) {
    const own = damages!.find(({ precision }) => precision.bits === 2 && precision.groupSize === null)!;
    assert.equal(own.damage, sensitivity);
    assert.ok(own.precision.planes === null && applied.groupSize === null);
    assert.ok(damages!.some(({ precision }) => precision.groupSize === 64));
  }
  assert.ok(report.recommendation!.patch.every(({ set }) => set.groupSize !== null));
});

test('the profile ort-nbits is proven in floats, and its bits count the scales of blocks', async (t) => {
  const gemm = (name: string, from: string, to: string) => ({
    op: 'MatMul',
    name,
    inputs: [from, `${name}.w`],
    outputs: [to],
  });
  const model = tinyModel({
    inputs: [['x', 'float32', ['N', 64]]],
    outputs: [['y', 'float32', null]],
    nodes: [
      gemm('a', 'x', 'h'),
      { op: 'Gelu', inputs: ['h'], outputs: ['g'] },
      gemm('b', 'g', 'i'),
      gemm('c', 'i', 'y'),
    ],
    constants: Object.fromEntries(['a', 'b', 'c'].map((name, i) => [`${name}.w`, randomTensor([64, 64], i + 1, 0.2)])),
    opset: 20,
  });
  const recipe: Recipe = {
    firstLast: { bits: 2 },
    weights: { groupSize: 32 },
    layers: [{ match: { name: 'b' }, set: { bits: 4 } }],
    artifacts: ['ort-nbits', 'portable'],
  };
  const { report, request } = await quantizeModel(t, model, recipe);
  const [portable, nbits] = report.artifacts;
  assert.deepEqual([portable!.profile, nbits!.profile], ['portable', 'ort-nbits']);
  assert.equal(nbits!.fileName, 'model.fgq-n32.ort-nbits.onnx');
  assert.ok(nbits!.verification.encodingMaxAbsError! < 1e-4 && nbits!.verification.sqnrDb! > 30);
  // 2 or 4 bits; group codes of 8 bits and a scale per channel, or a float per block.
  assert.equal(portable!.bitsPerWeight.quantizedLayers, (2 * 2 + 4) / 3 + 8 / 32 + 32 / 64);
  assert.equal(nbits!.bitsPerWeight.quantizedLayers, (2 * 2 + 4) / 3 + 32 / 32);
  const artifact = await readModel(join(request.outputDir, nbits!.fileName));
  await validateModel(artifact);
  assert.equal(artifact.graph.nodes.filter(({ opType }) => opType === 'MatMulNBits').length, 3);
});

test('weights alone need no data, and layers that are excluded stay as they are', async (t) => {
  const layers = [{ match: { name: 'down' }, set: { exclude: true } }];
  const { report, request } = await quantizeModel(t, smallNetwork(), { layers, firstLast: { bits: null } });
  assert.deepEqual(
    report.kept.map(({ node, reason }) => [node, reason]),
    ['stem', 'down', 'classifier'].map((node) => [node, 'excluded by the recipe']),
  );
  assert.ok(report.warnings.some(({ code }) => code === 'NO_EVALUATION_DATA'));
  assert.equal(report.accuracy, null);
  const artifact = await readModel(join(request.outputDir, report.artifacts[0]!.fileName));
  assert.ok(!artifact.graph.nodes.some(({ opType }) => opType === 'QuantizeLinear'));
});

test('gates are held against what was measured', async (t) => {
  const gates = { maxSizeBytes: 1, maxAccuracyDrop: 100 };
  const report = await quantize(await smallRequest(t, {}, { gates }), { runtime });
  assert.deepEqual(
    report.gates.map(({ name, passed }) => [name, passed]),
    [
      ['maxAccuracyDrop', true],
      ['maxSizeBytes', false],
    ],
  );
});

test('requests that cannot be met fail with a code, and leave nothing behind', async (t) => {
  const cases: [string, Partial<QuantizeRequest>][] = [
    ['CALIBRATION_REQUIRED', { calibration: undefined }],
    ['SELECTOR_UNMATCHED', { recipe: { layers: [{ match: { name: 'nowhere*' }, set: { bits: 8 } }] } }],
    ['MODEL_NOTHING_TO_QUANTIZE', { recipe: { layers: [{ match: { name: '*' }, set: { exclude: true } }] } }],
  ];
  for (const [code, change] of cases) {
    const request = await smallRequest(t, {}, change);
    await assert.rejects(quantize(request, { runtime }), { code });
    assert.deepEqual([...(await readdir(request.outputDir)), ...(await readdir(request.scratchDir))], [], code);
  }
  const folder = temporaryFolder(t);
  const modelPath = join(folder, 'text.onnx');
  await writeFile(modelPath, 'this is no model');
  const request = { ...(await smallRequest(t, {})), modelPath };
  await assert.rejects(quantize(request, { runtime }), { code: 'MODEL_NOT_ONNX' });
});

test('an abort stops the work between two steps', async (t) => {
  for (const phase of ['prepare', 'quantize', 'verify'] as const) {
    const request = await smallRequest(t, {});
    const controller = new AbortController();
    const onProgress = (progress: PhaseProgress) => {
      if (progress.phase === phase) controller.abort();
    };
    await assert.rejects(quantize(request, { runtime, signal: controller.signal, onProgress }), { code: 'CANCELED' });
    assert.deepEqual(await readdir(request.scratchDir), []);
  }
});
