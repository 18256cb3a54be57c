import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { PHASES, type Recipe, type Report } from '@tritforge/contracts';
import { summarizeModel } from './inspect.js';
import { readModel } from './onnx/index.js';
import { type QuantizeContext, type QuantizeRequest, quantize } from './quantize.js';
import { createOnnxRuntime } from './runtime/onnx-runtime.js';
import { killedIn } from './testing/killed-quantization.js';
import { smallRequest } from './testing/quantize-request.js';
import { temporaryFolder } from './testing/temporary-folder.js';
import { writeWideNetwork } from './testing/wide-network.js';

const NCE: NonNullable<Recipe['nce']> = { epochs: 4, choiceRate: 0.3, warmUp: 0.2, expansion: { threshold: 0.05 } };
/** With the weights of the supernet, so that what it has learned shows in the artifact. */
const SUPERNET: NonNullable<Recipe['nce']> = { ...NCE, inherit: 'supernet' };
const RECIPE: Recipe = { method: 'nce', nce: NCE, fineTune: { epochs: 2, batch: 8 } };

async function wideRequest(t: TestContext, recipe: Recipe): Promise<QuantizeRequest> {
  const { modelPath, datasetPath } = await writeWideNetwork(temporaryFolder(t));
  const data = { path: datasetPath };
  return smallRequest(t, recipe, { modelPath, calibration: data, evaluation: data });
}

function run(request: QuantizeRequest, context: Partial<QuantizeContext> = {}): Promise<Report> {
  return quantize(request, { runtime: createOnnxRuntime(), ...context });
}

test('channels are searched within the budgets, and the artifact has them', async (t) => {
  const request = await wideRequest(t, {
    ...RECIPE,
    nce: { ...SUPERNET, mixing: 'interpolate', budgets: { macs: 0.5, parameters: 0.6 } },
  });
  const details: string[] = [];
  const report = await run(request, { onProgress: ({ detail }) => detail !== undefined && details.push(detail) });
  const { widths, fixed, macs, parameters, course } = report.nce!;
  assert.deepEqual(
    widths.map(({ layers, original }) => [layers, original]),
    [
      [['stem'], 32],
      [['first'], 64],
      [['second'], 64],
      [['third'], 64],
    ],
  );
  assert.deepEqual(
    fixed.map(({ layers, channels, reasons }) => [layers, channels, reasons.map(({ why }) => why)]),
    [[['classifier'], 10, ['is an output of the network']]],
  );
  assert.equal(macs.original, report.model.macs);
  assert.ok(macs.result <= macs.limit && macs.limit === Math.floor(0.5 * macs.original));
  assert.ok(parameters.result <= parameters.limit && parameters.limit === Math.floor(0.6 * parameters.original));
  assert.deepEqual(
    course.map(({ epoch, choices }) => [epoch, choices.length]),
    [1, 2, 3, 4].map((epoch) => [epoch, 4]),
  );
  assert.ok(course.at(-1)!.choices.some(({ channels }) => channels.length > course[0]!.choices[0]!.channels.length));
  assert.ok(details.some((detail) => /^epoch 2, loss [\d.]+, likeliest widths [\d ]+, \d+ % of/.test(detail)));
  const artifact = await readModel(join(request.outputDir, report.artifacts[0]!.fileName));
  assert.equal(summarizeModel(artifact).macs, macs.result);
  const shapes = new Map(report.layers.map(({ node, shape }) => [node, shape!]));
  for (const { layers, result } of widths) for (const layer of layers) assert.equal(shapes.get(layer)![0], result);
  // Convolutions have biases.
  const counts = [...shapes].map(
    ([node, shape]) => shape.reduce((a, b) => a * b) + (node === 'classifier' ? 0 : shape[0]!),
  );
  assert.equal(
    counts.reduce((a, b) => a + b),
    parameters.result,
  );
  assert.equal(report.fineTune!.curve.length, 3);
  assert.equal(report.artifacts[0]!.verification.passed, true);
  assert.deepEqual(readdirSync(request.scratchDir), []);
});

test('a search may begin with nothing, with candidates of any size, and exchange channels in the end', async (t) => {
  const nce: typeof NCE = { ...NCE, start: 'none', refine: true, candidates: [0.5, 1.5] };
  const { widths, macs, parameters, course, refined } = (await run(await wideRequest(t, { ...RECIPE, nce }))).nce!;
  assert.deepEqual(
    course[0]!.choices.map(({ channels }) => channels),
    widths.map(({ original }) => [0.5, 1, 1.5].map((share) => share * original)),
  );
  assert.ok(macs.result <= macs.limit && parameters.result <= parameters.limit);
  assert.ok(refined!.networks > 1 && refined!.after <= refined!.before);
});

test('the file keeps to the bytes that it may have, which are told beforehand', async (t) => {
  for (const artifacts of [['portable'], ['accelerated']] as const) {
    const nce = { ...NCE, epochs: 2, budgets: { bytes: 0.6 } };
    const report = await run(await wideRequest(t, { ...RECIPE, nce, artifacts: [...artifacts] }));
    const { original, limit, result } = report.nce!.bytes!;
    const { sizeBytes } = report.artifacts[0]!;
    assert.ok(limit === Math.floor(0.6 * original) && sizeBytes <= limit, `${sizeBytes} of ${limit}`);
    assert.ok(Math.abs(sizeBytes / result - 1) < 0.002, `${sizeBytes}, expected ${result}`);
    assert.ok(report.nce!.course.every(({ bytes }) => bytes! > 0));
  }
});

test('the same search gives the same bytes, also when it was killed in between', async (t) => {
  const recipe = { ...RECIPE, nce: SUPERNET };
  const whole = await run(await wideRequest(t, recipe));
  const request = { ...(await wideRequest(t, recipe)), checkpointDir: join(temporaryFolder(t), 'checkpoints') };
  killedIn('search', 600, request);
  assert.ok(readdirSync(request.checkpointDir).includes('channels.training'));
  const resumed = await run(request);
  assert.equal(resumed.artifacts[0]!.digest, whole.artifacts[0]!.digest);
  assert.deepEqual(resumed.nce!.widths, whole.nce!.widths);
});

test('what was settled early has the widths that were likeliest', async (t) => {
  const settle = new AbortController();
  const onProgress: QuantizeContext['onProgress'] = ({ phase, done }) => {
    if (phase === 'search' && done > 300) settle.abort();
  };
  const report = await run(await wideRequest(t, RECIPE), { settle: settle.signal, onProgress });
  assert.ok(report.nce!.course.length < NCE.epochs!);
  assert.ok(report.nce!.macs.result <= report.nce!.macs.limit);
});

test('what cannot be searched says so, and why', async (t) => {
  const whole = { match: { op: 'Conv' }, set: { exclude: true } };
  await assert.rejects(run(await wideRequest(t, { ...RECIPE, layers: [whole] })), {
    code: 'MODEL_NOT_SEARCHABLE',
    message: /stem is no layer that is quantized|stem is kept as it is/,
  });
  const tight = { ...NCE, epochs: 1, budgets: { macs: { atMost: 10 } } };
  const request = await wideRequest(t, { ...RECIPE, nce: tight });
  await assert.rejects(run(request), { code: 'RECIPE_INVALID', message: /keep to the 2 budgets/ });
  assert.deepEqual([readdirSync(request.scratchDir), readdirSync(request.outputDir)], [[], []]);
  const { calibration: _, ...alone } = await wideRequest(t, { ...RECIPE, activations: { bits: null } });
  await assert.rejects(run(alone), { code: 'CALIBRATION_REQUIRED' });
});

test('channels may be named in place of a search, and weights come from the model or from nothing', async (t) => {
  const digests = new Set<string>();
  for (const inherit of ['model', 'none'] as const) {
    const nce = { widths: { first: 40, second: 80 }, inherit };
    const { nce: report, fineTune, artifacts } = await run(await wideRequest(t, { ...RECIPE, nce }));
    assert.deepEqual(
      report!.widths.map(({ result }) => result),
      [32, 40, 80, 64],
    );
    assert.deepEqual(report!.course, []);
    assert.equal(fineTune!.curve.length, 3);
    digests.add(artifacts[0]!.digest);
  }
  assert.equal(digests.size, 2);
});

test('a job compares what it found with networks of other widths where its recipe asks for it', async (t) => {
  const controls = ['original', 'uniform', 'random'] as const;
  const request = await wideRequest(t, { ...RECIPE, nce: { ...NCE, epochs: 1, controls: [...controls] } });
  const phases = new Set<string>();
  const details: string[] = [];
  const report = await run(request, {
    onProgress: ({ phase, detail }) => {
      phases.add(phase);
      if (phase === 'controls' && detail !== undefined) details.push(detail);
    },
  });
  const found = report.nce!.controls!;
  assert.deepEqual(
    found.map(({ name }) => name),
    controls,
  );
  const [original, uniform, random] = found;
  assert.deepEqual(original!.widths, [32, 64, 64, 64]);
  for (const { macs, heldOutLoss, accuracy, sizeBytes } of [uniform!, random!]) {
    assert.ok(macs <= report.nce!.macs.result);
    assert.ok(heldOutLoss > 0 && sizeBytes > 0 && accuracy !== null);
  }
  assert.ok(
    details.some((detail) => /^random widths: fineTune, epoch/.test(detail)),
    details.at(-1),
  );
  assert.equal([...phases].at(-1), 'controls');
  assert.deepEqual(
    [...phases],
    PHASES.filter((phase) => phases.has(phase)),
  );
  assert.deepEqual([readdirSync(request.scratchDir), readdirSync(request.outputDir).length], [[], 1]);
});
