/**
 * Times whole networks: the original, int8, and what Tritforge makes of them, on one thread.
 *
 *     npm run bench -- models [--only resnet] [--trials 5] [--budget-ms 5000] [--clock wall|cpu] [--json FILE] [--write]
 *
 * Each trial is a process of its own, pinned to one core where `taskset` exists, in which all variants take turns for
 * --budget-ms. --clock cpu takes the CPU time of the process, for a machine that others use too. --write replaces
 * bench/results/models.md. The models come from the folder with test data.
 */
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { makeContestants, missingOperators } from './models/contestants.js';
import { findNetworks, type Network } from './models/networks.js';
import type { TrialRequest, TrialResult } from './models/run-trial.js';
import { markdownTable } from './shared/markdown-table.js';

/** All trials of one row. */
interface Row {
  readonly name: string;
  readonly contestants: readonly string[];
  readonly trials: readonly TrialResult[];
}

const CHILD = fileURLToPath(new URL('./models/run-trial.js', import.meta.url));
const RESULT = fileURLToPath(new URL('../results/models.md', import.meta.url));
/** What others are compared with. */
const BASELINES = ['int8, ort', 'fp32, ort'];

const { values: options } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    trials: { type: 'string', default: '5' },
    'budget-ms': { type: 'string', default: '5000' },
    clock: { type: 'string', default: 'wall' },
    json: { type: 'string' },
    write: { type: 'boolean', default: false },
  },
});

await main();

async function main(): Promise<void> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tritforge-bench-models-'));
  try {
    const { networks, missing: missingModels } = await findNetworks(folder);
    const missing = [...missingModels, ...[missingOperators()].filter((reason) => reason !== null)];
    const rows: Row[] = [];
    for (const network of networks.filter(({ name }) => name.toLowerCase().includes(options.only.toLowerCase()))) {
      rows.push(...(await measure(network, path.join(folder, `artifacts-${rows.length}`))));
    }
    const text = pageText(rows, missing);
    process.stdout.write(text);
    if (options.json !== undefined) await writeFile(options.json, jsonText(rows, missing));
    if (options.write) await writeFile(RESULT, text);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function measure(network: Network, folder: string): Promise<Row[]> {
  const { input, dtype } = network;
  const contestants = await makeContestants(network, folder);
  const rows: Row[] = [];
  for (const { name, shape } of network.cases) {
    const trials: TrialResult[] = [];
    for (let i = 0; i < Number(options.trials); i++) {
      process.stderr.write(`${name}: trial ${i + 1} of ${options.trials}\n`);
      trials.push(await runTrial({ contestants, input, dtype, shape, budgetMs: Number(options['budget-ms']) }));
    }
    rows.push({ name, contestants: contestants.map((contestant) => contestant.name), trials });
  }
  return rows;
}

async function runTrial(request: TrialRequest): Promise<TrialResult> {
  const command = [...pin(), process.execPath, '--enable-source-maps', CHILD, JSON.stringify(request)];
  const { stdout } = await promisify(execFile)(command[0]!, command.slice(1));
  return JSON.parse(stdout) as TrialResult;
}

/** A command that keeps a process on the last core, or nothing. */
function pin(): string[] {
  const command = ['taskset', '-c', String(os.availableParallelism() - 1)];
  return spawnSync(command[0]!, [...command.slice(1), 'true']).status === 0 ? command : [];
}

function pageText(rows: readonly Row[], missing: readonly string[]): string {
  const contestants = rows[0]?.contestants ?? [];
  const times = rows.map((row) => [row.name, ...contestants.map((name) => timeCell(row, name)), spreadCell(row)]);
  const ratios = BASELINES.map((baseline) => {
    const others = contestants.filter((name) => name !== baseline);
    const lines = rows.map((row) => [row.name, ...others.map((name) => ratioCell(speedup(row, name, baseline)))]);
    return `Times as fast as **${baseline}** (▼: slower):\n\n${markdownTable(['', ...others], lines)}`;
  });
  return `# Whole networks

\`npm run bench -- models\` on ${os.cpus()[0]?.model.trim() ?? 'an unknown CPU'}, Node ${process.version}, commit ${commit()}.
${os.cpus().length} cores with a load of ${os.loadavg()[2]!.toFixed(1)} over the last quarter of an hour.

One thread${pin().length > 0 ? ', pinned' : ''}, batch 1; ${options.trials} trials, each a process of its own in which the variants take turns. Medians of the
trials' medians, ${options.clock === 'cpu' ? 'CPU time of the process' : 'time until the outputs are there'}; ratios are taken within a trial. Spread: half of the range of the trials' medians, the largest of the row.
"ort" is a portable artifact in stock onnxruntime, what has no "ort" an accelerated one with Tritforge's operators in the same
library, called through the kernels' addon. Ternary weights have N = 64, the first and the last layer are int8. Calibrated on noise, which
decides about scales and not about speed. stories260K has no cache of keys and values: 1 token is a step without history.
${missing.map((reason) => `\nMissing: ${reason.replace(/\.$/, '')}.\n`).join('')}
Milliseconds:

${markdownTable(['', ...contestants, 'largest spread'], times)}

${ratios.join('\n\n')}
`;
}

function jsonText(rows: readonly Row[], missing: readonly string[]): string {
  const environment = { cpu: os.cpus()[0]?.model.trim() ?? null, node: process.version, commit: commit() };
  return `${JSON.stringify({ environment, missing, rows }, null, 2)}\n`;
}

/** Milliseconds of a contestant in one trial, by the chosen clock. */
function timeMs(trial: TrialResult, name: string): number {
  const times = trial.times[name]!;
  return options.clock === 'cpu' ? times.cpuMedianMs : times.medianMs;
}

function speedup(row: Row, name: string, baseline: string): number {
  return median(row.trials.map((trial) => timeMs(trial, baseline) / timeMs(trial, name)));
}

function timeCell(row: Row, name: string): string {
  return median(row.trials.map((trial) => timeMs(trial, name))).toFixed(3);
}

function spreadCell(row: Row): string {
  const spreads = row.contestants.map((name) => {
    const all = row.trials.map((trial) => timeMs(trial, name));
    return (Math.max(...all) - Math.min(...all)) / 2 / median(all);
  });
  return `±${(100 * Math.max(...spreads)).toFixed(0)} %`;
}

function ratioCell(ratio: number): string {
  const shown = ratio.toFixed(2);
  return Number(shown) < 1 ? `${shown} ▼` : shown;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function commit(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: import.meta.dirname, encoding: 'utf8' }).trim();
  } catch {
    return 'unknown';
  }
}
