import assert from 'node:assert/strict';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Recipe, Report } from '@tritforge/contracts';
import { Value } from 'typebox/value';
import { type PhaseProgress, type QuantizeContext, type QuantizeRequest, quantize } from '../quantize.js';
import { createOnnxRuntime } from '../runtime/onnx-runtime.js';
import { temporaryFolder } from '../testing/temporary-folder.js';
import { WIDE_SAMPLES, writeWideNetwork } from '../testing/wide-network.js';

const runtime = createOnnxRuntime();

/** Quick to solve. */
const PLAIN: Recipe = { weights: { solver: 'exact' }, correction: ['mean'] };
const CHOSEN = 'wide.auto.portable.onnx';

/** Quantizes the wide network in folders of its own; the metric is the distance to the original's outputs. */
async function run(
  t: TestContext,
  recipe: Recipe,
  { evaluates = true, ...changes }: Partial<QuantizeContext & QuantizeRequest> & { evaluates?: boolean } = {},
) {
  const folder = temporaryFolder(t);
  const { modelPath, datasetPath } = await writeWideNetwork(folder);
  const [outputDir, scratchDir] = [join(folder, 'out'), join(folder, 'scratch')];
  await mkdir(outputDir);
  await mkdir(scratchDir);
  const { settle, onProgress, ...request } = changes;
  const report = await quantize(
    {
      modelPath,
      recipe: { ...PLAIN, ...recipe },
      outputDir,
      scratchDir,
      fileStem: 'wide',
      metric: 'mse',
      calibration: { path: datasetPath },
      ...(evaluates && { evaluation: { path: datasetPath } }),
      ...request,
    },
    { runtime, settle, onProgress },
  );
  assert.ok(Value.Check(Report, report), JSON.stringify(Value.Errors(Report, report)));
  assert.deepEqual(await readdir(scratchDir), []);
  return { report, outputDir };
}

test('a search proves what it chose by what it measured, and gives an artifact for each network it keeps', async (t) => {
  const seen: PhaseProgress[] = [];
  const { report, outputDir } = await run(
    t,
    { method: 'auto', search: { maxAccuracyDrop: 0.0015, evaluations: 11 } },
    { onProgress: (progress) => seen.push(progress) },
  );
  const { frontier = [], artifacts, accuracy } = report;
  assert.ok(frontier.length > 7 && frontier.length <= 11);
  const chosen = frontier.find(({ fileName }) => fileName === CHOSEN)!;
  assert.deepEqual(
    [chosen.sizeBytes, chosen.accuracy, chosen.drop, chosen.latencyMs],
    [artifacts[0]!.sizeBytes, accuracy!.quantized, accuracy!.drop, report.latency!.quantizedMs],
  );
  const meeting = frontier.filter(({ meets }) => meets);
  assert.ok(meeting.includes(chosen));
  assert.equal(chosen.sizeBytes, Math.min(...meeting.map(({ sizeBytes }) => sizeBytes)));
  const singles = frontier.filter(({ singlePrecision }) => singlePrecision);
  assert.equal(singles.length, 7);
  for (const single of singles) assert.ok(!single.meets || single.sizeBytes > chosen.sizeBytes, single.label);

  const kept = frontier.flatMap(({ fileName }) => (fileName ? [fileName] : []));
  assert.ok(kept.length > 1 && kept.length <= 5);
  assert.deepEqual((await readdir(outputDir)).sort(), [...kept].sort());
  assert.deepEqual(artifacts.map(({ fileName }) => fileName).sort(), [...kept].sort());
  for (const { fileName, sizeBytes, verification } of artifacts) {
    assert.equal((await readFile(join(outputDir, fileName))).byteLength, sizeBytes);
    assert.equal(verification.passed, true);
    assert.equal(frontier.find((point) => point.fileName === fileName)!.sizeBytes, sizeBytes);
  }

  const progress = seen.filter(({ phase }) => phase === 'search');
  assert.ok(progress.length > 10);
  progress.reduce((before, next) => {
    assert.ok(next.done >= before.done && next.done <= next.total);
    return next;
  });
});

test('a limit on the latency is held against what was measured', async (t) => {
  const within = await run(t, { method: 'auto', search: { maxLatencyMs: 1e5, evaluations: 9 } });
  const { frontier = [], warnings } = within.report;
  assert.ok(frontier.every(({ latencyMs, meets }) => latencyMs! > 0 && latencyMs! < 1e5 && meets));
  const chosen = frontier.find(({ fileName }) => fileName === CHOSEN)!;
  assert.equal(chosen.drop, Math.min(...frontier.map(({ drop }) => drop!)), 'the most accurate that is fast enough');
  assert.ok(!warnings.some(({ code }) => code === 'SEARCH_LIMITS_NOT_MET'));

  const beyond = await run(t, { method: 'auto', search: { maxLatencyMs: 1e-6, evaluations: 2 } });
  assert.ok(beyond.report.warnings.some(({ code }) => code === 'SEARCH_LIMITS_NOT_MET'));
  const times = beyond.report.frontier!.map(({ latencyMs }) => latencyMs!);
  const taken = beyond.report.frontier!.find(({ fileName }) => fileName === CHOSEN)!;
  assert.equal(taken.latencyMs, Math.min(...times), 'the fastest');
});

test('the recipe of a network that was found makes the same network without a search', async (t) => {
  const { report } = await run(t, {
    method: 'auto',
    equalize: true,
    search: { maxAccuracyDrop: 0.0015, evaluations: 9 },
  });
  const mixed = report.frontier!.find(({ fileName }) => fileName === CHOSEN)!;
  const { recipe } = mixed;
  assert.ok(Value.Check(Recipe, recipe));
  const again = await run(t, recipe);
  assert.equal(again.report.artifacts[0]!.digest, report.artifacts[0]!.digest);
  assert.deepEqual(
    again.report.layers.map(({ applied }) => applied),
    report.layers.map(({ applied }) => applied),
  );
});

test('without evaluation data networks are held against the original on samples that weights are not fitted to', async (t) => {
  const { report } = await run(t, { method: 'auto', search: { evaluations: 4 } }, { evaluates: false });
  assert.equal(report.accuracy, null);
  assert.equal(report.frontier!.length, 4);
  for (const { accuracy, drop } of report.frontier!) {
    assert.ok(Math.abs(accuracy! + drop! - 100) < 1e-9);
    const agreeing = (accuracy! * WIDE_SAMPLES) / 4 / 100;
    assert.ok(Math.abs(agreeing - Math.round(agreeing)) < 1e-9, 'every fourth sample is kept aside');
  }
});

test('a budget of bytes is spent on the most accurate network that fits', async (t) => {
  const { report } = await run(t, { method: 'auto', search: { maxBytes: 35_000, evaluations: 9 } });
  const fitting = report.frontier!.filter(({ sizeBytes }) => sizeBytes <= 35_000);
  assert.ok(report.artifacts[0]!.sizeBytes <= 35_000);
  assert.equal(report.accuracy!.drop, Math.min(...fitting.map(({ drop }) => drop!)));
  const singles = fitting.filter(({ singlePrecision }) => singlePrecision);
  assert.ok(singles.length > 1 && singles.every(({ drop }) => drop! > report.accuracy!.drop!));
  assert.deepEqual(
    report.frontier!.map(({ meets }) => meets),
    report.frontier!.map(({ sizeBytes }) => sizeBytes <= 35_000),
  );
});

test('a host that wants an end gets the best network so far', async (t) => {
  const settle = new AbortController();
  let networks = 0;
  let layersBefore = 0;
  const { report } = await run(
    t,
    { method: 'auto' },
    {
      settle: settle.signal,
      onProgress: ({ phase, done, total }) => {
        if (phase !== 'search') return;
        const perNetwork = total / 28;
        if (done % perNetwork === 0 && done > layersBefore && done > 4 * perNetwork) networks++;
        layersBefore = done;
        if (networks === 2) settle.abort();
      },
    },
  );
  assert.equal(report.frontier!.length, 2);
  assert.ok(report.warnings.some(({ code }) => code === 'SEARCH_ENDED_EARLY'));
  assert.equal(report.artifacts[0]!.verification.passed, true);
});

test('a search that has no time at all takes the safest precision', async (t) => {
  const { report } = await run(t, { method: 'auto' }, { settle: AbortSignal.abort() });
  assert.equal(report.frontier, undefined);
  assert.equal(report.recommendation, null);
  assert.ok(report.warnings.some(({ code }) => code === 'SEARCH_ENDED_EARLY'));
  assert.ok(report.layers.every(({ applied }) => applied.bits === 8));
});

test('what is recommended can be submitted as it is, and does less damage', async (t) => {
  const { report } = await run(t, { weights: { groupSize: 64, solver: 'exact' }, sensitivity: true });
  const { recommendation, layers } = report;
  assert.ok(recommendation && recommendation.patch.length > 0);
  assert.ok(recommendation.predictedGain > 0.4 * recommendation.damage);
  assert.ok(recommendation.addedBytes > 0);
  for (const { applied, sensitivity, damages } of layers) {
    const own = damages!.find(
      ({ precision: { bits, groupSize, planes } }) =>
        bits === applied.bits &&
        (groupSize ?? 99) >= Math.min(applied.groupSize ?? 99, 24) &&
        planes === applied.planes,
    );
    assert.equal(sensitivity, own!.damage);
    assert.ok(damages!.some(({ precision }) => precision.bits === null && precision.activationBits === 8));
  }
  const sumOf = (of: Report) => of.layers.reduce((sum, { sensitivity }) => sum + (sensitivity ?? 0), 0);
  const better = await run(t, { ...(recommendation.recipe as Recipe), sensitivity: true });
  assert.ok(sumOf(better.report) < 0.8 * sumOf(report));
});

test('measurements need calibration data', async (t) => {
  await assert.rejects(run(t, { method: 'auto' }, { calibration: undefined }), { code: 'CALIBRATION_REQUIRED' });
});
