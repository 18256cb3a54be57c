/**
 * Times Tritforge's kernels against ONNX Runtime (fp32, int8, 4 and 2 bits) and oneDNN, on the shapes of real networks.
 *
 *     npm run bench -- kernels [--filter REGEXP] [--isa NAME]... [--trials 5] [--budget-ms 60] [--group-size 64] [--core N]
 *                              [--peers TEXT] [--every-layout] [--json FILE] [--write]
 *
 * --filter chooses families by their titles or shapes by their names, such as 'M = 1$' or 'resnet.*conv'. Each trial is a
 * process of its own, in which every candidate takes its turn on one thread, pinned to one core, --budget-ms for each
 * candidate on each shape. --isa may be repeated (avx512, avx2 …; the best one without it); with avx2 oneDNN is held to
 * AVX2 and the classic maddubs kernel joins. --peers leaves out peers whose name does not contain the text,
 * --every-layout adds the layouts that dispatch does not choose. --write replaces bench/results/kernels.md.
 */
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Family, readFamilies } from './kernels/families.js';
import { buildNativeProgram } from './kernels/native-program.js';
import { tableText } from './kernels/page.js';
import { writePeerModels } from './kernels/peer-models.js';
import { columnsOf, reasonsOf, shapeKey, type Table, tablesOf } from './kernels/summary.js';
import { type PlannedShape, runTrial, type Trial, type TrialOptions, writePlan } from './kernels/trial.js';

/** All trials with one instruction set. */
interface Run {
  readonly trials: readonly Trial[];
  readonly tables: readonly Table[];
}

/** Said where a lower instruction set than that of most servers is forced. */
const LOWERED = '\n\noneDNN is held to it too; onnxruntime cannot be and uses all that the processor has.';
const RESULT = fileURLToPath(new URL('../results/kernels.md', import.meta.url));

const { values: options } = parseArgs({
  options: {
    filter: { type: 'string', default: '' },
    isa: { type: 'string', multiple: true, default: ['best'] },
    trials: { type: 'string', default: '5' },
    'budget-ms': { type: 'string', default: '60' },
    'group-size': { type: 'string', default: '64' },
    core: { type: 'string', default: String(os.availableParallelism() - 1) },
    peers: { type: 'string', default: '' },
    'every-layout': { type: 'boolean', default: false },
    json: { type: 'string' },
    write: { type: 'boolean', default: false },
  },
});

await main();

async function main(): Promise<void> {
  const families = readFamilies(new RegExp(options.filter, 'iu'));
  if (families.length === 0) throw new Error(`No family and no shape matches "${options.filter}".`);
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tritforge-bench-kernels-'));
  try {
    const { path: program, compiler } = await buildNativeProgram(process.env.CXX, folder);
    const plan = await writePlan(await plannedShapes(families, folder), folder);
    const runs: Run[] = [];
    for (const isa of options.isa) runs.push(await measure(families, program, plan, isa));
    const text = pageText(runs, compiler);
    process.stdout.write(text);
    if (options.json !== undefined) await writeFile(options.json, jsonText(runs, compiler));
    if (options.write) await writeFile(RESULT, text);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function plannedShapes(families: readonly Family[], folder: string): Promise<PlannedShape[]> {
  const planned: PlannedShape[] = [];
  for (const family of families) {
    for (const shape of family.shapes) {
      planned.push({ key: shapeKey(family, shape), shape, peers: await writePeerModels(shape, options.peers, folder) });
    }
  }
  return planned;
}

async function measure(families: readonly Family[], program: string, plan: string, isa: string): Promise<Run> {
  const trials: Trial[] = [];
  const count = Number(options.trials);
  for (let i = 0; i < count; i++) {
    process.stderr.write(`${isa}: trial ${i + 1} of ${count}\n`);
    trials.push(await runTrial(program, plan, trialOptions(isa)));
  }
  return { trials, tables: families.flatMap((family) => tablesOf(family, trials)) };
}

function trialOptions(isa: string): TrialOptions {
  return {
    isa,
    groupSize: Number(options['group-size']),
    budgetMs: Number(options['budget-ms']),
    core: Number(options.core),
    peers: options.peers,
    everyLayout: options['every-layout'],
  };
}

function pageText(runs: readonly Run[], compiler: string): string {
  const { ort, oneDnn } = runs[0]!.trials[0]!;
  return `# Kernels

\`npm run bench -- kernels${process.argv.length > 2 ? ` ${process.argv.slice(2).join(' ')}` : ''}\` on ${cpuName()}, commit ${commit()}.
Compiled by ${compiler}; onnxruntime ${ort}; oneDNN ${oneDnn || 'absent (its header and library were not found, or are not version 2)'}.
${os.cpus().length} cores with a load of ${os.loadavg()[2]!.toFixed(1)} over the last quarter of an hour.

One thread, pinned; ${options.trials} trials, each a process of its own in which the candidates take turns. Medians, and ratios of
medians within a trial, of which the median is given: above 1 Tritforge is faster, ▼ marks where it is slower. Spread: half
of the range of the trials' medians, the largest of the row. Time is CPU time of the thread. Peers in ONNX Runtime are
models of one operator, called through its C API; Tritforge's kernels are called directly.

Matrix products, M × K × N: Tritforge and \`ort int8\` (MatMulInteger) and oneDNN int8 go from uint8 to int32; \`ort 4-bit/32\` is
MatMulNBits with blocks of 32 and accuracy level 4, from float32 to float32, as \`ternary, fp32 in and out\` is. Convolutions go from
uint8 to uint8 in NHWC (\`ort int8\`: QLinearConv), float32 ones as each library likes its weights; oneDNN also chooses the
order of the float32 image. Ternary weights have N = ${options['group-size']}; 2 × 2 bit are uniform 2-bit weights and activations. Warm: the
candidate ran just before; cold: four times the last cache was read in between.

${runs.map(runText).join('\n\n')}
`;
}

function runText({ trials, tables }: Run): string {
  const reasons = reasonsOf(trials);
  const missing = reasons.length === 0 ? '' : `\n\nMissing: ${reasons.join('; ')}.`;
  const { isa } = trials[0]!;
  const lowered = isa.startsWith('avx') && isa !== 'avx512' ? LOWERED : '';
  return `## Instruction set ${isa}${lowered}${missing}\n\n${tables.map(tableText).join('\n\n')}`;
}

function jsonText(runs: readonly Run[], compiler: string): string {
  const { ort, oneDnn } = runs[0]!.trials[0]!;
  const environment = { cpu: cpuName(), commit: commit(), compiler, onnxruntime: ort, oneDnn: oneDnn || null };
  const results = runs.map(({ trials, tables }) => ({
    isa: trials[0]!.isa,
    missing: reasonsOf(trials),
    tables: tables.map((table) => ({
      family: table.family.title,
      caches: table.temperature,
      own: columnsOf(table).own,
      rows: table.rows.map(({ shape, figures }) => ({ shape, figures: [...figures.values()] })),
    })),
  }));
  return `${JSON.stringify({ environment, trials: Number(options.trials), results }, null, 2)}\n`;
}

function cpuName(): string {
  return os.cpus()[0]?.model.trim() ?? 'an unknown CPU';
}

function commit(): string {
  try {
    const git = (...args: string[]) => execFileSync('git', args, { cwd: import.meta.dirname, encoding: 'utf8' }).trim();
    return git('rev-parse', '--short', 'HEAD');
  } catch {
    return 'unknown';
  }
}
