import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Recipe, Report } from '@tritforge/contracts';
import { type QuantizeRequest, quantize } from './quantize.js';
import { createOnnxRuntime } from './runtime/onnx-runtime.js';
import { killedIn } from './testing/killed-quantization.js';
import { writeSmallNetwork } from './testing/small-network.js';
import { temporaryFolder } from './testing/temporary-folder.js';

const SOLVED_BEFORE = 3;
const RECIPE: Recipe = {
  weights: { groupSize: 8, residualPlanes: 0.3 },
  layers: [{ match: { name: 'left' }, set: { bits: 4, groupSize: 8 } }],
};

async function requestIn(t: TestContext, recipe = RECIPE): Promise<QuantizeRequest & { checkpointDir: string }> {
  const folder = temporaryFolder(t);
  const { modelPath, datasetPath } = await writeSmallNetwork(folder);
  const [outputDir, scratchDir] = [join(folder, 'out'), join(folder, 'scratch')];
  await mkdir(outputDir);
  await mkdir(scratchDir);
  const calibration = { path: datasetPath };
  const checkpointDir = join(folder, 'checkpoints');
  return { modelPath, recipe, outputDir, scratchDir, calibration, checkpointDir, fileStem: 'small', solverThreads: 1 };
}

async function run(request: QuantizeRequest): Promise<{ report: Report; digest: string }> {
  const report = await quantize(request, { runtime: createOnnxRuntime() });
  return { report, digest: report.artifacts[0]!.digest };
}

/** Starts a request in a process that dies in the middle of it. */
function die(request: QuantizeRequest, layers = SOLVED_BEFORE): void {
  killedIn('quantize', layers, request);
}

/** When files were last written, in nanoseconds. */
function writeTimes(folder: string, names: readonly string[]): Promise<bigint[]> {
  return Promise.all(names.map(async (name) => (await stat(join(folder, name), { bigint: true })).mtimeNs));
}

test('a job that was killed goes on at the layer that it was in, to the same artifact', async (t) => {
  const request = await requestIn(t);
  die(request);
  const files = await readdir(request.checkpointDir);
  assert.equal(files.length, SOLVED_BEFORE);
  const written = await writeTimes(request.checkpointDir, files);

  const resumed = await run(request);
  assert.deepEqual(await writeTimes(request.checkpointDir, files), written, 'layers were solved again');
  const { checkpointDir, ...undisturbed } = await requestIn(t);
  const whole = await run(undisturbed);
  assert.equal(resumed.digest, whole.digest);
  assert.deepEqual(resumed.report.layers, whole.report.layers);
});

test('a file that was damaged is solved again, and layers of another request are not taken', async (t) => {
  const request = await requestIn(t);
  const first = await run(request);
  const [name] = (await readdir(request.checkpointDir)).sort();
  const path = join(request.checkpointDir, name!);
  const bytes = await readFile(path);
  await writeFile(path, bytes.subarray(0, bytes.length - 5));
  await writeFile(join(request.checkpointDir, 'half.layer.1.tmp'), 'half');
  await writeFile(join(request.checkpointDir, 'state.training'), 'of another step');
  assert.equal((await run(request)).digest, first.digest);
  assert.deepEqual(await readFile(path), bytes);
  const left = await readdir(request.checkpointDir);
  assert.deepEqual([left.includes('half.layer.1.tmp'), left.includes('state.training')], [false, true]);

  const other = { ...request, recipe: { ...RECIPE, seed: 7 } };
  const { checkpointDir: _, ...alone } = { ...(await requestIn(t)), recipe: other.recipe };
  assert.equal((await run(other)).digest, (await run(alone)).digest);
});
