import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type Recipe, Report } from '@tritforge/contracts';
import { versions } from '@tritforge/quant-core/versions';
import { renderReport } from '@tritforge/report-html';
import { Value } from 'typebox/value';
import {
  BINARY,
  CALIBRATION,
  EVALUATION,
  EXAMPLE,
  folder,
  MODEL,
  newPath,
  outcomeOf,
  PREPROCESS,
  tritforge,
} from './testing/run-cli.js';

/** Stands for a path that does not exist yet. */
const OUT = 'OUT';

describe('tritforge', { concurrency: 2 }, () => {
  test('shows its commands, flags, examples and version', async () => {
    const help = await tritforge('--help');
    assert.equal(help.exitCode, 0);
    assert.match(help.stdout, /inspect.*quantize.*evaluate.*Exit codes/s);
    const quantizeHelp = await tritforge('quantize', '--help');
    assert.match(
      quantizeHelp.stdout,
      /--group-size.*--activation-bits.*--training.*--fine-tune \[minutes\].*--nce-minutes.*Examples/s,
    );
    const { exitCode, stdout } = await tritforge('--version');
    assert.equal(exitCode, 0);
    assert.match(stdout, /^tritforge \d+\.\d+\.\d+\nonnxruntime \d+\.\d+\.\d+\nkernels /);
    assert.ok(stdout.includes(`kernels ${versions().kernels.implementation}`));
  });

  test('inspects a model in words and as JSON', async () => {
    const words = await tritforge('inspect', MODEL);
    assert.equal(words.exitCode, 0);
    assert.match(words.stdout, /^input +image: float32, N × 3 × 24 × 24$/m);
    assert.match(words.stdout, /^\/head +Gemm +16 × 64 +1,024$/m);
    const json = await tritforge('inspect', MODEL, '--json');
    assert.equal(JSON.parse(json.stdout).quantizableLayers, 10);
  });

  test('quantizes a model, quietly in a pipe, and leaves artifact and report', async () => {
    const out = newPath();
    const run = await tritforge('quantize', MODEL, '--out', out, ...CALIBRATION, ...EVALUATION);
    assert.equal(run.exitCode, 0, run.stderr);
    assert.equal(run.stderr, '');
    assert.match(run.stdout, /original +int8 +fgq N=64/);
    assert.match(run.stdout, /^size +319\.5 kB +\S+ kB +\S+ kB +\d\.\d× smaller$/m);
    assert.match(run.stdout, /^top1 \(1024 samples\) +92\.68 %/m);
    assert.deepEqual(readdirSync(out).sort(), [
      'model.fgq-n64.portable.onnx',
      'model.fgq-n64.report.html',
      'model.fgq-n64.report.json',
    ]);
  });

  test('prints exactly the report as JSON, and does what the flags say', async () => {
    const out = newPath();
    const run = await tritforge(
      ...['quantize', MODEL, '--out', out, '--json', '--group-size', '4', '--activation-bits', 'none'],
      ...['--artifact', 'compat', '--layer', '/block1/*=int8', '--layer', '/block2/*=n16', '--layer', '/head=exclude'],
    );
    assert.equal(run.exitCode, 0, run.stderr);
    const report = JSON.parse(run.stdout);
    assert.deepEqual(Value.Errors(Report, report), []);
    assert.deepEqual(report, JSON.parse(readFileSync(join(out, 'model.fgq-n4.report.json'), 'utf8')));
    assert.deepEqual(readdirSync(out).sort(), [
      'model.fgq-n4.compat.onnx',
      'model.fgq-n4.report.html',
      'model.fgq-n4.report.json',
    ]);
    assert.equal(readFileSync(join(out, 'model.fgq-n4.report.html'), 'utf8'), renderReport(report));
    assert.equal(statSync(join(out, 'model.fgq-n4.compat.onnx')).size, report.artifacts[0].sizeBytes);
    const applied = Object.fromEntries(
      report.layers.map((layer: Report['layers'][number]) => [layer.node, layer.applied]),
    );
    assert.deepEqual(applied['/block1/conv1'], { bits: 8, groupSize: null, planes: null, activationBits: null });
    assert.deepEqual(applied['/block2/conv1'], { bits: 2, groupSize: 16, planes: 1, activationBits: null });
    assert.deepEqual(applied['/block3/conv1'], { bits: 2, groupSize: 4, planes: 1, activationBits: null });
  });

  test('quantizes inputs to 4 bits where flags ask for it', async () => {
    const out = newPath();
    const run = await tritforge(
      ...['quantize', MODEL, '--out', out, '--group-size', '4', '--activation-bits', '4', '--activation-range', 'auto'],
      ...['--layer', '/block2/*=a8', '--activation-shortcuts', 'wide'],
      ...CALIBRATION,
    );
    assert.equal(run.exitCode, 0, run.stderr);
    assert.match(run.stdout, /original +int8 +fgq N=4, 4-bit inputs/);
    assert.deepEqual(readdirSync(out).sort(), [
      'model.fgq-n4-a4.portable.onnx',
      'model.fgq-n4-a4.report.html',
      'model.fgq-n4-a4.report.json',
    ]);
    const { layers, provenance }: Report = JSON.parse(readFileSync(join(out, 'model.fgq-n4-a4.report.json'), 'utf8'));
    assert.equal((provenance.recipe as Recipe).activations?.shortcuts, 'wide');
    const fourBit = layers.filter(({ applied }) => applied.activationBits === 4).map(({ node }) => node);
    assert.match(run.stdout, new RegExp(`, ${fourBit.length} with 4-bit inputs`));
    assert.ok(fourBit.includes('/block1/conv1') && !fourBit.some((node) => node.startsWith('/block2/')), `${fourBit}`);
  });

  test('solves weights as the flag says, by default for the outputs of layers', async () => {
    const solvers: string[] = [];
    for (const flags of [[], ['--solver', 'exact']]) {
      const out = newPath();
      const run = await tritforge('quantize', MODEL, '--out', out, ...flags, ...CALIBRATION);
      assert.equal(run.exitCode, 0, run.stderr);
      const { provenance }: Report = JSON.parse(readFileSync(join(out, 'model.fgq-n64.report.json'), 'utf8'));
      solvers.push((provenance.recipe as Recipe).weights!.solver!);
    }
    assert.deepEqual(solvers, ['feedback', 'exact']);
  });

  test('gives layers second planes and equal channels where flags ask for it', async () => {
    const out = newPath();
    const run = await tritforge(
      ...['quantize', MODEL, '--out', out, '--group-size', '4', '--activation-bits', 'none'],
      ...['--equalize', '--residual-planes', '0.5', '--layer', '/block1/*=p2', '--layer', '/block2/*=p1'],
    );
    assert.equal(run.exitCode, 0, run.stderr);
    assert.match(run.stdout, /original +int8 +fgq N=4, second planes/);
    const { layers, provenance }: Report = JSON.parse(readFileSync(join(out, 'model.fgq-n4-p2.report.json'), 'utf8'));
    assert.equal((provenance.recipe as Recipe).equalize, true);
    const two = layers.filter(({ applied }) => applied.planes === 2).map(({ node }) => node);
    assert.match(run.stdout, new RegExp(`, ${two.length} with two planes`));
    assert.ok(two.includes('/block1/conv1') && two.some((node) => node.startsWith('/block3/')), `${two}`);
    assert.ok(!two.some((node) => node.startsWith('/block2/')), `${two}`);
  });

  test('quantizes to 4 bits where flags ask for it', async () => {
    const out = newPath();
    const run = await tritforge(
      ...['quantize', MODEL, '--out', out, '--recipe', 'int4', '--group-size', '128', '--activation-bits', 'none'],
      ...['--layer', '/block1/*=ternary'],
    );
    assert.equal(run.exitCode, 0, run.stderr);
    assert.match(run.stdout, /original +int8 +int4 N=128/);
    const { layers }: Report = JSON.parse(readFileSync(join(out, 'model.int4-n128.report.json'), 'utf8'));
    const bitsOf = (name: string) => layers.find(({ node }) => node === name)!.applied.bits;
    assert.deepEqual([bitsOf('/block1/conv1'), bitsOf('/block2/conv1')], [2, 4]);
    const int4 = layers.filter(({ applied }) => applied.bits === 4).length;
    assert.match(run.stdout, new RegExp(`, ${int4} int4, `));
  });

  test('quantizes to uniform 2 bits where flags ask for it', async () => {
    const out = newPath();
    const run = await tritforge(
      ...[
        'quantize',
        MODEL,
        '--out',
        out,
        '--recipe',
        'uniform',
        '--layer',
        '/block1/*=n16',
        '--layer',
        '/block2/*=a8',
      ],
      ...CALIBRATION,
    );
    assert.equal(run.exitCode, 0, run.stderr);
    assert.match(run.stdout, /original +int8 +uniform, 2-bit inputs/);
    const { layers }: Report = JSON.parse(readFileSync(join(out, 'model.uniform-a2.report.json'), 'utf8'));
    const precisionOf = (name: string) => {
      const { bits, groupSize, activationBits } = layers.find(({ node }) => node === name)!.applied;
      return [bits, groupSize, activationBits];
    };
    assert.deepEqual(precisionOf('/block1/conv1'), [2, 16, 2]);
    assert.deepEqual(precisionOf('/block2/conv1'), [2, null, 8]);
    const uniform = layers.filter(({ applied }) => applied.bits === 2 && applied.groupSize === null).length;
    const coarse = layers.filter(({ applied }) => applied.activationBits === 2).length;
    assert.match(run.stdout, new RegExp(` ternary, ${uniform} uniform, .*, ${coarse} with 2-bit inputs`));
  });

  test('takes a recipe from a file', async () => {
    const recipe = join(folder, 'recipe.json');
    writeFileSync(recipe, JSON.stringify({ method: 'int8', artifacts: ['compat', 'portable'] }));
    const out = newPath();
    const run = await tritforge('quantize', MODEL, '--out', out, '--recipe', recipe, ...CALIBRATION);
    assert.equal(run.exitCode, 0, run.stderr);
    assert.match(run.stdout, /original +int8/);
    assert.deepEqual(readdirSync(out).sort(), [
      'model.int8.compat.onnx',
      'model.int8.portable.onnx',
      'model.int8.report.html',
      'model.int8.report.json',
    ]);
  });

  test('the commands in the page of a report make the same bytes of the same inputs', async () => {
    const out = newPath();
    const flags = ['--group-size', '16', '--layer', '/block2/*=n4', '--artifact', 'compat', '--threads', '1'];
    const made = await tritforge('quantize', MODEL, '--out', out, ...CALIBRATION, ...flags);
    assert.equal(made.exitCode, 0, made.stderr);
    const page = readFileSync(join(out, 'model.fgq-n16.report.html'), 'utf8');
    const [, commands] = /<pre[^>]*><code>(cat &gt; recipe\.json.*?)<\/code>/s.exec(page)!;
    const typed = commands!
      .replaceAll('&lt;', '<')
      .replaceAll('&gt;', '>')
      .replaceAll('&quot;', '"')
      .replaceAll('&#39;', "'");
    const place = newPath();
    mkdirSync(place);
    copyFileSync(MODEL, join(place, 'model.onnx'));
    copyFileSync(join(EXAMPLE, 'calibration.npz'), join(place, 'calibration.npz'));
    const shell = spawn('sh', ['-eu'], { cwd: place, stdio: ['pipe', 'pipe', 'pipe'] });
    shell.stdin.end(`npm() { shift 4; '${process.execPath}' '${BINARY}' "$@"; }\n${typed}\n`);
    const again = await outcomeOf(shell);
    assert.equal(again.exitCode, 0, again.stderr);
    const artifact = 'model.fgq-n16.compat.onnx';
    assert.deepEqual(readFileSync(join(place, 'out', artifact)), readFileSync(join(out, artifact)));
  });

  test('evaluates a model', async () => {
    const words = await tritforge('evaluate', MODEL, ...EVALUATION, ...PREPROCESS);
    assert.equal(words.exitCode, 0, words.stderr);
    assert.match(words.stdout, /^top1 +92\.68 %$/m);
    const json = await tritforge('evaluate', MODEL, ...EVALUATION, ...PREPROCESS, '--json', '--metric', 'top5');
    const { metric, samples } = JSON.parse(json.stdout);
    assert.deepEqual([metric, samples], ['top5', 1024]);
  });

  test('evaluates an accelerated artifact alike in both engines', {
    skip: versions().kernels.reason ?? false,
  }, async () => {
    const out = newPath();
    const made = await tritforge('quantize', MODEL, '--out', out, ...CALIBRATION, '--artifact', 'accelerated');
    assert.equal(made.exitCode, 0, made.stderr);
    assert.match(made.stdout, /^with Tritforge's operators +\S+ [mµ]?s /m);
    const evaluate = async (engine: string) => {
      const artifact = join(out, 'model.fgq-n64.accelerated.onnx');
      const run = await tritforge('evaluate', artifact, ...EVALUATION, ...PREPROCESS, '--json', '--engine', engine);
      assert.equal(run.exitCode, 0, run.stderr);
      return JSON.parse(run.stdout);
    };
    const [stock, own] = [await evaluate('ort'), await evaluate('tritforge')];
    assert.match(stock.engine, /^onnxruntime /);
    assert.match(own.engine, /^tritforge operators \(\S+\) in onnxruntime /);
    assert.equal(own.value, stock.value);
  });

  test('exits with 3 when a gate fails, and keeps what was made', async () => {
    const out = newPath();
    const run = await tritforge('quantize', MODEL, '--out', out, ...CALIBRATION, '--gate-max-size', '1kB', '--json');
    assert.equal(run.exitCode, 3);
    assert.equal(JSON.parse(run.stderr).code, 'GATE_FAILED');
    assert.equal(JSON.parse(run.stdout).gates[0].passed, false);
    assert.equal(readdirSync(out).length, 3);
  });

  for (const [flag, value, code] of [
    ['--deadline', '0.1s', 'JOB_DEADLINE_EXCEEDED'],
    ['--memory-limit', '60MB', 'JOB_MEMORY_EXCEEDED'],
  ] as const) {
    test(`exits with 4 when ${flag} is exceeded, and leaves nothing`, async () => {
      const out = newPath();
      const run = await tritforge('quantize', MODEL, '--out', out, ...CALIBRATION, flag, value);
      assert.equal(run.exitCode, 4, run.stderr);
      assert.match(run.stderr, new RegExp(`^error ${code}: `));
      assert.equal(existsSync(out), false);
    });
  }

  const notAModel = join(folder, 'page.onnx');
  writeFileSync(notAModel, '<!doctype html>'.repeat(50));
  const badPreprocess = join(folder, 'preprocess.json');
  writeFileSync(badPreprocess, '{"resize": {"width": "large"}}');
  const quantize = ['quantize', MODEL, '--out', OUT];
  const mistakes: [code: string, args: string[]][] = [
    ['USAGE_INVALID', ['inspect']],
    ['USAGE_INVALID', ['inspect', MODEL, '--fast']],
    ['USAGE_INVALID', ['prune', MODEL]],
    ['USAGE_INVALID', ['quantize', MODEL]],
    ['USAGE_INVALID', ['evaluate', MODEL]],
    ['USAGE_INVALID', [...quantize, '--group-size', '5']],
    ['USAGE_INVALID', [...quantize, '--residual-planes', '1.5']],
    ['USAGE_INVALID', [...quantize, '--artifact', 'exotic']],
    ['USAGE_INVALID', [...quantize, '--layer', '/block1/*=3']],
    ['USAGE_INVALID', [...quantize, '--recipe', 'magic']],
    ['RECIPE_INVALID', [...quantize, '--recipe', 'int8', '--paper']],
    ['USAGE_INVALID', [...quantize, '--fine-tune', '0']],
    ['USAGE_INVALID', [...quantize, '--fine-tune-batch', '1.5']],
    ['USAGE_INVALID', [...quantize, '--fine-tune-loss', 'labels']],
    ['RECIPE_INVALID', [...quantize, '--fine-tune', '5', '--fine-tune-epochs', '2']],
    ['RECIPE_INVALID', [...quantize, '--fine-tune-workers', '3']],
    ['RECIPE_INVALID', [...quantize, '--paper', '--fine-tune']],
    ['USAGE_INVALID', [...quantize, '--recipe', 'nce', '--nce-epochs', '1.5']],
    ['USAGE_INVALID', [...quantize, '--recipe', 'nce', '--nce-max-macs', '0']],
    ['RECIPE_INVALID', [...quantize, '--recipe', 'auto', '--nce-minutes', '5']],
    ['USAGE_INVALID', [...quantize, '--memory-limit', 'much']],
    ['USAGE_INVALID', [...quantize, '--deadline', '-1s']],
    ['USAGE_INVALID', [...quantize, '--threads', '0']],
    ['USAGE_INVALID', [...quantize, '--gate-min-speedup', '0']],
    ['USAGE_INVALID', ['quantize', MODEL, '--out', MODEL]],
    ['RECIPE_INVALID', [...quantize, '--recipe', badPreprocess]],
    ['RECIPE_INVALID', [...quantize, '--recipe', join(folder, 'none.json')]],
    ['PREPROCESS_INVALID', [...quantize, '--preprocess', badPreprocess]],
    ['PREPROCESS_INVALID', [...quantize, '--preprocess', notAModel]],
    ['MODEL_NOT_FOUND', ['inspect', join(folder, 'none.onnx')]],
    ['MODEL_NOT_FOUND', ['inspect', folder]],
    ['MODEL_NOT_ONNX', ['inspect', notAModel]],
    ['DATASET_NOT_FOUND', [...quantize, '--calibration', join(folder, 'none.npz')]],
    ['DATASET_FORMAT_UNKNOWN', [...quantize, '--calibration', notAModel]],
    ['DATASET_NOT_FOUND', [...quantize, ...CALIBRATION, '--training', join(folder, 'none.npz')]],
    ['CALIBRATION_REQUIRED', quantize],
    ['CALIBRATION_REQUIRED', [...quantize, '--activation-bits', 'none', '--fine-tune']],
    ['SELECTOR_UNMATCHED', [...quantize, ...CALIBRATION, '--layer', '/nothing/*=int8']],
  ];
  for (const [code, args] of mistakes) {
    const words = args.map((arg) => arg.replaceAll(folder, '').replaceAll(EXAMPLE, '')).join(' ');
    test(`exits with 2 and ${code} for: ${words}`, async () => {
      const out = newPath();
      const run = await tritforge(...args.map((arg) => (arg === OUT ? out : arg)), '--json');
      assert.equal(run.exitCode, 2, run.stderr);
      assert.equal(run.stdout, '');
      const error = JSON.parse(run.stderr);
      assert.equal(error.code, code);
      assert.ok(error.message.length > 10 && error.remediation?.length > 10, run.stderr);
      assert.equal(existsSync(out), false);
    });
  }

  test('says in words what is wrong and what to do', async () => {
    const run = await tritforge('inspect', notAModel);
    assert.match(run.stderr, /^error MODEL_NOT_ONNX: .+\n {2}Send .+\n$/);
    assert.equal(run.stdout, '');
    const usage = await tritforge('inspect');
    assert.match(usage.stderr, /missing required argument 'model'/);
  });

  test('keeps earlier results when a run fails', async () => {
    const out = newPath();
    const weightsOnly = ['quantize', MODEL, '--out', out, '--activation-bits', 'none'];
    assert.equal((await tritforge(...weightsOnly)).exitCode, 0);
    const before = readdirSync(out).map((name) => [name, statSync(join(out, name)).mtimeMs]);
    assert.equal((await tritforge(...weightsOnly, '--deadline', '0.1s')).exitCode, 4);
    assert.deepEqual(
      readdirSync(out).map((name) => [name, statSync(join(out, name)).mtimeMs]),
      before,
    );
  });
});
