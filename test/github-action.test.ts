/** The example of a GitHub Action: its step, run by bash as a runner does, against a service. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Job, Report } from '@tritforge/contracts';
import { parse } from 'yaml';
import { exampleImages } from './support/datasets.js';
import { EXAMPLE } from './support/example.js';
import { expectJson } from './support/http.js';
import { clientOf } from './support/keys.js';
import { externalWeight, matMul } from './support/models.js';
import { type Stack, startStack } from './support/stack.js';
import { freePort } from './support/started-service.js';

const ACTION = fileURLToPath(new URL('../../examples/github-action/', import.meta.url));
const read = (name: string) => readFileSync(join(ACTION, name), 'utf8');

interface Action {
  readonly inputs: Readonly<Record<string, { readonly default?: string; readonly required?: boolean }>>;
  readonly outputs: Readonly<Record<string, { readonly value: string }>>;
  readonly runs: { readonly steps: readonly Step[] };
}

interface Step {
  readonly id?: string;
  readonly shell: string;
  readonly env: Readonly<Record<string, string>>;
  readonly run: string;
}

const action: Action = parse(read('action.yml'));
const tools = ['bash', 'curl', 'jq', 'sha256sum'];
const missing = tools.find((name) => spawnSync(name, ['--version']).status !== 0);
const skip = missing && `there is no ${missing} here`;

const folder = mkdtempSync(join(tmpdir(), 'tritforge-action-'));
let runs = 0;
let stack: Stack;
before(async () => {
  writeFileSync(join(folder, 'images.npz'), exampleImages(16, 1));
  stack = await startStack({ workers: 1 });
});
after(async () => {
  await stack.close();
  rmSync(folder, { recursive: true });
});

/** How a step went, with what it told the runner. */
interface StepRun {
  readonly exitCode: number;
  readonly log: string;
  readonly outputs: Readonly<Record<string, string>>;
  readonly summary: string;
  readonly out: string;
}

/** Runs the step of the action with these inputs. */
async function use(inputs: Readonly<Record<string, string>>): Promise<StepRun> {
  const place = join(folder, `run${runs++}`);
  const [outputFile, summaryFile] = [`${place}.output`, `${place}.summary`];
  for (const file of [outputFile, summaryFile]) writeFileSync(file, '');
  const given: Record<string, string> = {
    server: stack.url,
    model: join(EXAMPLE, 'model.onnx'),
    out: place,
    ...inputs,
  };
  const [step] = action.runs.steps;
  const env = Object.fromEntries(
    Object.entries(step!.env).map(([name, value]) => {
      const [, input] = /^\$\{\{ inputs\.([a-z-]+) \}\}$/.exec(value)!;
      assert.ok(action.inputs[input!], `${name} takes an input that is not declared`);
      return [name, given[input!] ?? action.inputs[input!]!.default ?? ''];
    }),
  );
  assert.equal(step!.shell, 'bash');
  const shell = spawn('bash', ['--noprofile', '--norc', '-eo', 'pipefail', '-c', step!.run], {
    cwd: folder,
    env: {
      PATH: process.env.PATH,
      ...env,
      GITHUB_ACTION_PATH: ACTION,
      GITHUB_OUTPUT: outputFile,
      GITHUB_STEP_SUMMARY: summaryFile,
      GITHUB_RUN_ID: '1',
      RETRIES: '1',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = new Promise<number>((resolve) => shell.once('exit', (code) => resolve(code ?? -1)));
  const [exitCode, stdout, stderr] = await Promise.all([ended, text(shell.stdout), text(shell.stderr)]);
  const lines = readFileSync(outputFile, 'utf8').trim().split('\n');
  const outputs = Object.fromEntries(lines.map((line) => line.split(/=(.*)/s, 2) as [string, string]));
  return { exitCode, log: `${stdout}${stderr}`, outputs, summary: readFileSync(summaryFile, 'utf8'), out: place };
}

function jobFile(job: object): string {
  const path = join(folder, `job${runs}.json`);
  writeFileSync(path, JSON.stringify(job));
  return path;
}

test('the workflow of its README uses inputs that the action has', () => {
  const [, workflow] = /```yaml\n([\s\S]*?)```/.exec(read('README.md'))!;
  const { steps } = parse(workflow!).jobs.quantize as { steps: { uses: string; with?: Record<string, string> }[] };
  const used = steps.find(({ uses }) => uses.startsWith('./'))!.with!;
  assert.deepEqual(
    Object.keys(used).filter((name) => action.inputs[name] === undefined),
    [],
  );
  const required = Object.entries(action.inputs).filter(([, input]) => input.required);
  for (const [name] of required) assert.ok(name in used, name);
});

test('it leaves artifact and report, and says so', { skip }, async () => {
  const { preprocess } = JSON.parse(readFileSync(join(EXAMPLE, 'job.json'), 'utf8'));
  const run = await use({
    calibration: join(folder, 'images.npz'),
    evaluation: join(EXAMPLE, 'evaluation.zip'),
    job: jobFile({ preprocess }),
  });
  assert.equal(run.exitCode, 0, run.log);
  assert.deepEqual(readdirSync(run.out).sort(), ['model.fgq-n64.portable.onnx', 'report.html', 'report.json']);
  assert.deepEqual(Object.keys(run.outputs), Object.keys(action.outputs));
  const report: Report = JSON.parse(readFileSync(run.outputs.report!, 'utf8'));
  const job = await expectJson<Job>(await stack.fetch(`/jobs/${run.outputs['job-id']}`), 200);
  const artifact = await expectJson<{ digest: string }>(await stack.fetch(`/artifacts/${job.artifactIds[0]}`), 200);
  const digest = createHash('sha256').update(readFileSync(run.outputs.artifact!)).digest('hex');
  assert.equal(`sha256:${digest}`, artifact.digest);
  assert.match(run.summary, new RegExp(`\\| bytes \\| \\d+ \\| ${report.artifacts[0]!.sizeBytes} \\|`));
  assert.match(run.summary, /\| top1 \| 92\.\d+ \|/);
});

test('it fails with what went wrong: a gate, bad input, a wrong key, nobody there', { skip }, async () => {
  const recipe = { activations: { bits: null } };
  const gate = await use({ job: jobFile({ recipe, gates: { maxSizeBytes: 1000 } }) });
  assert.equal(gate.exitCode, 3, gate.log);
  assert.match(gate.log, /^::error title=GATE_FAILED::maxSizeBytes is \d+, the limit is 1000$/m);
  assert.ok(existsSync(gate.outputs.artifact!));
  const failed = await use({ job: jobFile({ recipe, gates: { maxSizeBytes: 1000, onFailure: 'fail' } }) });
  assert.equal(failed.exitCode, 3, failed.log);
  const withoutData = await use({});
  assert.equal(withoutData.exitCode, 2, withoutData.log);
  assert.match(withoutData.log, /^::error title=CALIBRATION_REQUIRED::/m);
  const wrongKey = await use({ 'api-key': 'tf_wrong' });
  assert.equal(wrongKey.exitCode, 2, wrongKey.log);
  assert.match(wrongKey.log, /^::error title=UNAUTHENTICATED::/m);
  assert.doesNotMatch(wrongKey.log, /tf_wrong/);
  assert.equal((await use({ model: join(folder, 'none.onnx') })).exitCode, 2);
  assert.equal((await use({ job: jobFile({ recipe }), 'timeout-seconds': '0' })).exitCode % 7, 0);
});

test('it is given a key and external data', { skip }, async () => {
  const { secret } = await clientOf(stack, 'runners');
  writeFileSync(join(folder, 'm.onnx'), matMul(externalWeight('w.bin')));
  writeFileSync(join(folder, 'w.bin'), Buffer.alloc(64, 1));
  const run = await use({
    'api-key': secret,
    model: join(folder, 'm.onnx'),
    'external-data': 'w.bin',
    job: jobFile({ recipe: { activations: { bits: null } } }),
  });
  assert.equal(run.exitCode, 0, run.log);
  assert.doesNotMatch(run.log, new RegExp(secret));
});

test('nobody there is 5', { skip }, async () => {
  const run = await use({ server: `http://127.0.0.1:${await freePort()}`, job: jobFile({}) });
  assert.equal(run.exitCode, 5, run.log);
  assert.match(run.log, /^::error title=SERVICE_UNREACHABLE::/m);
});
