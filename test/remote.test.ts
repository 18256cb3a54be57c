/** The command line on a service: what it prints, leaves and exits with. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Job, Report } from '@tritforge/contracts';
import { exampleImages } from './support/datasets.js';
import { eventually } from './support/eventually.js';
import { EXAMPLE } from './support/example.js';
import { expectJson } from './support/http.js';
import { clientOf } from './support/keys.js';
import { type Stack, startStack } from './support/stack.js';
import { freePort } from './support/started-service.js';
import { Wire } from './support/wire.js';

const BINARY = fileURLToPath(new URL('../../packages/cli/bin/tritforge.mjs', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'tritforge-remote-'));
const MODEL = join(EXAMPLE, 'model.onnx');
const IMAGES = join(folder, 'images.npz');
const CALIBRATION = ['--calibration', IMAGES, '--preprocess', join(EXAMPLE, 'preprocess.json')];
const WEIGHTS_ONLY = ['--activation-bits', 'none'];
/** A job that goes on until it is canceled. */
const ENDLESS = [MODEL, ...CALIBRATION, '--fine-tune', '60'];
let folders = 0;
const newPath = () => join(folder, `out${folders++}`);

let stack: Stack;
before(async () => {
  writeFileSync(IMAGES, exampleImages(16, 1));
  stack = await startStack({ workers: 1 });
});
after(async () => {
  await stack.close();
  rmSync(folder, { recursive: true });
});

/** How a command went. */
interface Run {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function start(args: readonly string[], env: Readonly<Record<string, string>> = {}): ChildProcess {
  const service = { TRITFORGE_SERVER: stack.url, TRITFORGE_API_KEY: '', ...env };
  return spawn(process.execPath, [BINARY, ...args], {
    env: { ...process.env, ...service },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

async function outcomeOf(child: ChildProcess): Promise<Run> {
  const [[exitCode], stdout, stderr] = await Promise.all([
    once(child, 'exit'),
    text(child.stdout!),
    text(child.stderr!),
  ]);
  return { exitCode, stdout, stderr };
}

const tritforge = (...args: string[]) => outcomeOf(start(args));

/** The output of a command that must succeed. */
async function succeed(...args: string[]): Promise<string> {
  const run = await tritforge(...args);
  assert.equal(run.exitCode, 0, run.stderr);
  return run.stdout;
}

const idOf = async (...args: string[]) => (await succeed('submit', ...args)).trim();
const jobOf = async (id: string) => expectJson<Job>(await stack.fetch(`/jobs/${id}`), 200);

/** What a command that must fail says as JSON. */
async function failure(exitCode: number, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const run = await outcomeOf(start([...args, '--json'], env));
  assert.equal(run.exitCode, exitCode, `${run.stdout}${run.stderr}`);
  const error = JSON.parse(run.stderr);
  assert.ok(error.message.length > 10, run.stderr);
  return { error, stdout: run.stdout };
}

test('submit --out leaves what quantize leaves, and prints the same table', async () => {
  const out = newPath();
  const run = await tritforge('submit', MODEL, ...CALIBRATION, '--out', out, '--label', 'a=b', '--label', 'c=d=e');
  assert.equal(run.exitCode, 0, run.stderr);
  assert.match(run.stderr, /^job_\w+\n$/);
  assert.match(run.stdout, /original +int8 +fgq N=64/);
  const files = ['model.fgq-n64.portable.onnx', 'model.fgq-n64.report.html', 'model.fgq-n64.report.json'];
  assert.deepEqual(readdirSync(out).sort(), files);
  const report: Report = JSON.parse(readFileSync(join(out, files[2]!), 'utf8'));
  assert.equal(statSync(join(out, files[0]!)).size, report.artifacts[0]!.sizeBytes);
  assert.deepEqual((await jobOf(run.stderr.trim())).labels, { a: 'b', c: 'd=e' });
});

test('a job is submitted, waited for, looked at and downloaded by its id', async () => {
  const id = await idOf(MODEL, ...WEIGHTS_ONLY, '--group-size', '4');
  assert.match(await succeed('wait', id), /original +int8 +fgq N=4/);
  assert.match(await succeed('status', id), new RegExp(`^job +${id}\nstate +succeeded\n`));
  assert.deepEqual(JSON.parse(await succeed('status', id, '--json')), await jobOf(id));
  const out = newPath();
  const paths = (await succeed('download', id, '--out', out)).trim().split('\n');
  assert.deepEqual(
    paths,
    ['portable.onnx', 'report.json', 'report.html'].map((end) => join(out, `model.fgq-n4.${end}`)),
  );
  const again = JSON.parse(await succeed('download', id, '--out', out, '--json'));
  assert.deepEqual(again, { jobId: id, files: paths });
  assert.equal(readdirSync(out).length, 3);
});

test('a download over a line that breaks again and again leaves whole files', async () => {
  const wire = await Wire.to(stack.url);
  try {
    const id = await idOf(MODEL, ...WEIGHTS_ONLY);
    await succeed('wait', id);
    const [straight, broken] = [newPath(), newPath()];
    await succeed('download', id, '--out', straight);
    wire.cut(...Array.from({ length: 3 }, () => ({ direction: 'answers', afterBytes: 25_000 }) as const));
    const run = await outcomeOf(start(['download', id, '--out', broken], { TRITFORGE_SERVER: wire.url }));
    assert.equal(run.exitCode, 0, run.stderr);
    assert.equal(wire.cutsLeft, 0);
    const contents = (out: string) => readdirSync(out).map((name) => [name, readFileSync(join(out, name))]);
    assert.deepEqual(contents(broken), contents(straight));
  } finally {
    await wire.close();
  }
});

test('models and data may be what the service has, and a key for retries starts one job', async () => {
  const first = await jobOf(await idOf(MODEL, ...CALIBRATION));
  const byIds = [first.modelId, '--calibration', first.datasets.calibration!, '--idempotency-key', 'nightly-1'];
  const ids = [await idOf(...byIds), await idOf(...byIds)];
  assert.equal(ids[0], ids[1]);
  const second: Job = JSON.parse(await succeed('wait', ids[0]!, '--json'));
  assert.deepEqual([second.state, second.modelId, second.datasets], ['succeeded', first.modelId, first.datasets]);
});

test('exits with 3 when a gate fails, and keeps what was made', async () => {
  const out = newPath();
  const submit = ['submit', MODEL, ...WEIGHTS_ONLY, '--gate-max-size', '1kB', '--out', out];
  const { error, stdout } = await failure(3, submit);
  assert.equal(error.code, 'GATE_FAILED');
  const job: Job = JSON.parse(stdout);
  assert.deepEqual([job.state, job.gates.passed], ['succeeded', false]);
  assert.equal(readdirSync(out).length, 3);
  assert.equal((await tritforge('wait', job.id)).exitCode, 3);
  await succeed('download', job.id, '--out', out);
});

test('exits with 4 when the job fails, and leaves nothing', async () => {
  const out = newPath();
  const late = ['submit', MODEL, ...CALIBRATION, '--fine-tune-epochs', '1000', '--deadline', '1s', '--out', out];
  const { error, stdout } = await failure(4, late);
  const job: Job = JSON.parse(stdout);
  assert.deepEqual([error.code, error.jobId, job.state], ['JOB_DEADLINE_EXCEEDED', job.id, 'failed']);
  assert.equal((await failure(4, ['download', job.id, '--out', out])).error.code, 'JOB_DEADLINE_EXCEEDED');
  assert.equal(existsSync(out), false);
  assert.match((await tritforge('wait', job.id)).stderr, /^error JOB_DEADLINE_EXCEEDED: .+\n {2}.+\n$/);
});

test('exits with 7 when the time to wait is over, with 6 when the job was canceled', async () => {
  const id = await idOf(...ENDLESS);
  assert.equal((await failure(7, ['wait', id, '--timeout', '1s'])).error.code, 'WAIT_TIMEOUT');
  const early = await failure(2, ['download', id, '--out', newPath()]);
  assert.equal(early.error.code, 'REPORT_NOT_READY');
  assert.match(await succeed('status', id), /^state +(queued|running)$/m);
  assert.equal(await succeed('cancel', id), `${id} is canceled.\n`);
  assert.equal((await failure(6, ['wait', id])).error.code, 'CANCELED');
  const late = await idOf(MODEL, ...WEIGHTS_ONLY);
  await succeed('wait', late);
  assert.equal((await failure(2, ['cancel', late])).error.code, 'JOB_ALREADY_ENDED');
});

test('Ctrl-C ends the waiting with 130 and says how to go on; the job is canceled when asked', async () => {
  const waiting = start(['submit', ...ENDLESS, '--wait']);
  const ended = outcomeOf(waiting);
  const [line] = await once(waiting.stderr!, 'data');
  const id = String(line).trim();
  await eventually(async () => (await jobOf(id)).state === 'running');
  waiting.kill('SIGINT');
  const { exitCode, stdout, stderr } = await ended;
  assert.deepEqual([exitCode, stdout], [130, '']);
  assert.match(stderr, new RegExp(`The job goes on\\.\n {2}tritforge wait ${id} --server ${stack.url}\n`));
  assert.equal((await jobOf(id)).state, 'running');

  const wire = await Wire.to(stack.url);
  try {
    const canceling = start(['wait', id, '--cancel-on-interrupt'], { TRITFORGE_SERVER: wire.url });
    const outcome = outcomeOf(canceling);
    // Who has asked for the job listens for signals.
    await eventually(async () => wire.answeredBytes > 0, 20_000);
    canceling.kill('SIGINT');
    assert.equal((await outcome).exitCode, 130);
    assert.equal((await jobOf(id)).state, 'canceled');
  } finally {
    await wire.close();
  }
});

test('goes on waiting while the service dies and comes back', async () => {
  const [first, second] = [await stack.startApi(), await stack.startApi()];
  const wire = await Wire.to(first.url);
  try {
    const id = await idOf(...ENDLESS);
    const ended = outcomeOf(start(['wait', id, '--json'], { TRITFORGE_SERVER: wire.url }));
    await sleep(1500);
    wire.down();
    first.process.kill('SIGKILL');
    await sleep(1000);
    await succeed('cancel', id);
    wire.leadTo(second.url);
    const { exitCode, stdout } = await ended;
    assert.equal(exitCode, 6);
    assert.equal(JSON.parse(stdout).state, 'canceled');
  } finally {
    await wire.close();
  }
});

test('exits with 5 when nobody answers, or the line stays broken while it waits', async () => {
  const nobody = { TRITFORGE_SERVER: `http://127.0.0.1:${await freePort()}` };
  const submit = ['submit', MODEL, ...WEIGHTS_ONLY, '--retry-for', '1s'];
  assert.equal((await failure(5, submit, nobody)).error.code, 'SERVICE_UNREACHABLE');
  const inWords = await outcomeOf(start(submit, nobody));
  assert.match(inWords.stderr, /^error SERVICE_UNREACHABLE: No connection to http:.+ECONNREFUSED.+\n {2}Check .+\n$/);
  const wire = await Wire.to(stack.url);
  const id = await idOf(...ENDLESS);
  const waiting = outcomeOf(start(['wait', id, '--retry-for', '1s'], { TRITFORGE_SERVER: wire.url }));
  await sleep(1500);
  await wire.close();
  assert.equal((await waiting).exitCode, 5);
  await succeed('cancel', id);
});

test('a key comes from a file or the environment, and is never printed', async () => {
  const { secret } = await clientOf(stack, 'remote');
  const keyFile = join(folder, 'key');
  writeFileSync(keyFile, `${secret}\n`);
  const id = await idOf(MODEL, ...WEIGHTS_ONLY, '--key-file', keyFile);
  const byEnvironment = await outcomeOf(start(['wait', id], { TRITFORGE_API_KEY: secret }));
  assert.equal(byEnvironment.exitCode, 0, byEnvironment.stderr);
  // Anonymous requests act for another project.
  assert.equal((await failure(2, ['status', id])).error.code, 'JOB_NOT_FOUND');
  const wrong = { TRITFORGE_API_KEY: 'tf_wrong_secret' };
  const refused = await failure(2, ['submit', MODEL, ...WEIGHTS_ONLY], wrong);
  assert.equal(refused.error.code, 'UNAUTHENTICATED');
  assert.match(refused.error.requestId, /^[0-9a-f-]{36}$/);
  const inWords = await outcomeOf(start(['status', id], wrong));
  assert.match(inWords.stderr, /^error UNAUTHENTICATED: .+\n {2}.+\n {2}The service logs it as request .+\n$/);
  const torn = await failure(2, ['status', id], { TRITFORGE_API_KEY: 'tf_wrong secret' });
  const inAddress = await failure(2, ['status', id], { TRITFORGE_SERVER: 'http://me:wrong-secret@localhost' });
  for (const said of [JSON.stringify([refused, torn, inAddress]), inWords.stderr])
    assert.doesNotMatch(said, /wrong.secret/);
});

test('what the service refuses is bad input, and leaves nothing there', async () => {
  const other = join(folder, 'other.onnx');
  writeFileSync(other, '<!doctype html>'.repeat(50));
  const before = await stack.footprint();
  const page = await failure(2, ['submit', other, ...WEIGHTS_ONLY]);
  assert.equal(page.error.code, 'MODEL_NOT_ONNX');
  const metric = await failure(2, ['submit', MODEL, ...WEIGHTS_ONLY, '--metric', 'top1']);
  assert.equal(metric.error.code, 'METRIC_UNSUPPORTED');
  await eventually(async () => JSON.stringify(await stack.footprint()) === JSON.stringify(before));
});

const submit = ['submit', MODEL, ...WEIGHTS_ONLY];
const mistakes: [code: string, args: string[], env?: Record<string, string>][] = [
  ['USAGE_INVALID', ['submit']],
  ['USAGE_INVALID', submit, { TRITFORGE_SERVER: '' }],
  ['USAGE_INVALID', [...submit, '--server', 'tritforge.example']],
  ['USAGE_INVALID', [...submit, '--server', 'http://user:word@localhost']],
  ['USAGE_INVALID', [...submit, '--label', 'nightly']],
  ['USAGE_INVALID', [...submit, '--key-file', join(folder, 'none')]],
  ['USAGE_INVALID', [...submit, '--retry-for', 'long']],
  ['USAGE_INVALID', [...submit, '--out', MODEL]],
  ['MODEL_NOT_FOUND', ['submit', join(folder, 'none.onnx')]],
  ['MODEL_EXTERNAL_DATA_MISSING', [...submit, '--data', join(folder, 'none.data')]],
  ['DATASET_NOT_FOUND', [...submit, '--evaluation', join(folder, 'none.npz')]],
  ['RECIPE_INVALID', [...submit, '--recipe', 'int8', '--paper']],
  ['JOB_NOT_FOUND', ['wait', 'job_x']],
  ['USAGE_INVALID', ['download', 'job_x']],
];
for (const [code, args, env] of mistakes) {
  const words = args.map((arg) => arg.replaceAll(folder, '').replaceAll(EXAMPLE, '')).join(' ');
  test(`exits with 2 and ${code} for: ${words}`, async () => {
    const { error, stdout } = await failure(2, args, env);
    assert.deepEqual([error.code, stdout], [code, '']);
    assert.ok(error.remediation?.length > 10, JSON.stringify(error));
  });
}
