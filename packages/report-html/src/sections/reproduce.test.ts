import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Report } from '@tritforge/contracts';
import { renderReport } from '../render-report.js';
import { textsOf } from '../testing/read-page.js';
import { BARE_REPORT, fullReport } from '../testing/sample-reports.js';

interface Run {
  /** Arguments of npm or curl. */
  readonly args: readonly string[];
  readonly files: Readonly<Record<string, unknown>>;
}

/** The commands at the end of the page, as a reader copies them. */
function commandsOf(report: Report): { commandLine: string; overHttp: string } {
  const [commandLine, overHttp] = textsOf(renderReport(report), 'pre').slice(-2);
  return { commandLine: commandLine!, overHttp: overHttp! };
}

/** Runs commands of a page in a shell in which npm and curl write down their arguments. */
async function run(commands: string): Promise<Run> {
  const folder = await mkdtemp(join(tmpdir(), 'tritforge-reproduce-'));
  try {
    const record =
      'npm() { printf "%s\\0" "$@" > args; }\ncurl() { npm "$@"; }\nset -eu\nTRITFORGE=http://127.0.0.1:1\n';
    const { status, stdout, stderr } = spawnSync('sh', { input: record + commands, cwd: folder, encoding: 'utf8' });
    assert.deepEqual([status, stdout, stderr], [0, '', '']);
    const names = ['recipe.json', 'preprocess.json', 'job.json'].filter((name) => existsSync(join(folder, name)));
    const read = (name: string) => readFileSync(join(folder, name), 'utf8');
    return {
      args: read('args').split('\0').slice(0, -1),
      files: Object.fromEntries(names.map((name) => [name, JSON.parse(read(name))])),
    };
  } finally {
    await rm(folder, { recursive: true });
  }
}

const HOSTILE = "'EOF'\nEOF\n$(touch owned) `id` \"\\ \u202e\u0007 </pre>";

test('the commands write down recipe and preprocessing and run the program with what was asked for', async () => {
  const report = fullReport(HOSTILE);
  const { commandLine } = commandsOf(report);
  const { args, files } = await run(commandLine);
  assert.deepEqual(files, {
    'recipe.json': report.provenance.recipe,
    'preprocess.json': report.provenance.datasets[0]!.preprocess,
  });
  assert.deepEqual(args, [
    ...['run', '-s', 'tritforge', '--', 'quantize', 'model.onnx', '--out', 'out', '--recipe', 'recipe.json'],
    ...['--calibration', 'calibration.npz', '--evaluation', 'evaluation.npz', '--preprocess', 'preprocess.json'],
    ...['--metric', 'top1', '--threads', '2', '--gate-max-accuracy-drop', '2', '--gate-max-size', '900'],
  ]);
});

test('over HTTP the same goes into one call', async () => {
  const report = fullReport(HOSTILE);
  const { overHttp } = commandsOf(report);
  const { args, files } = await run(overHttp);
  assert.deepEqual(files, {
    'job.json': {
      recipe: report.provenance.recipe,
      preprocess: report.provenance.datasets[0]!.preprocess,
      metric: 'top1',
      gates: { maxAccuracyDrop: 2, maxSizeBytes: 900 },
    },
  });
  assert.deepEqual(args.slice(2), [
    'http://127.0.0.1:1/jobs',
    ...['-F', 'model=@model.onnx', '-F', 'calibration=@calibration.npz', '-F', 'evaluation=@evaluation.npz'],
    ...['-F', 'job=<job.json'],
  ]);
});

test('a job without data needs a model and a recipe alone', async () => {
  const { commandLine, overHttp } = commandsOf(BARE_REPORT);
  const { args } = await run(commandLine);
  assert.deepEqual(args.slice(4), ['quantize', 'model.onnx', '--out', 'out', '--recipe', 'recipe.json']);
  assert.deepEqual((await run(overHttp)).files, { 'job.json': { recipe: {} } });
});

test('training data go along, and what is said of the bytes is true of trainings', async () => {
  const report = fullReport();
  const { datasets } = report.provenance;
  datasets.push({ ...datasets[0]!, role: 'training' });
  const { commandLine, overHttp } = commandsOf(report);
  assert.match((await run(commandLine)).args.join(' '), / --training training\.npz /);
  assert.match((await run(overHttp)).args.join(' '), / -F training=@training\.npz /);
  assert.match(renderReport(BARE_REPORT), /The same inputs give the same artifact bytes\./);
  const { fineTune: _, nce: __, ...untrained } = report;
  assert.match(renderReport(untrained), /The same inputs give the same artifact bytes\./);
  report.provenance.recipe = { fineTune: { epochs: 3 } };
  assert.match(renderReport(report), /same artifact bytes on processors of the same kind/);
  report.provenance.recipe = { fineTune: { minutes: 3 } };
  assert.match(renderReport(report), /Its training was given minutes, so another run makes other bytes/);
  report.provenance.recipe = { nce: { minutes: 3 }, fineTune: { epochs: 3 } };
  assert.match(renderReport(report), /Its search was given minutes/);
  report.provenance.recipe = { nce: { minutes: 3 }, fineTune: { minutes: 3 } };
  assert.match(renderReport(report), /Its search and training were given minutes/);
});

test('datasets that were preprocessed in different ways cannot go into one call, and the page says so', () => {
  const report = fullReport();
  report.provenance.datasets[1]!.preprocess = null;
  assert.match(renderReport(report), /preprocessed in different ways/);
  assert.doesNotMatch(renderReport(fullReport()), /preprocessed in different ways/);
});
