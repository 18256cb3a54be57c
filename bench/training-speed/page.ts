import { execFileSync } from 'node:child_process';
import os from 'node:os';
import { markdownTable } from '../shared/markdown-table.js';
import type { Timing } from './rounds.js';

/** One network in one mode, ours first. */
export interface Comparison {
  readonly network: string;
  readonly batch: number;
  readonly batchStatistics: boolean;
  readonly rounds: number;
  readonly timings: readonly Timing[];
}

const HEADER = [
  '',
  'minimum, ms',
  'median, ms',
  'processor, ms',
  'ours / minimum',
  'ours / median',
  'ours / processor',
];

/** @param ours names of our timings; ratios are those of the fastest */
export function trainingPage(
  comparisons: readonly Comparison[],
  command: string,
  torch: string,
  ours: readonly string[],
): string {
  return `# Speed of training

\`npm run bench -- ${command}\` on ${os.cpus()[0]?.model.trim() ?? 'an unknown CPU'}, Node ${process.version}, PyTorch ${torch}, commit ${commit()}; one thread each,
a load of ${os.loadavg()[2]!.toFixed(1)} over the last quarter of an hour.

A step is forward, backward and the update by SGD with momentum, on random images. Everybody takes turns, step by step; ratios are those of
our faster one to each, below 1 we are faster. PyTorch runs the same ONNX file in both memory layouts, eagerly unless a row says
compile (torch.compile). Ours run in the environment of engine processes, which asks for huge pages; PyTorch as it is, and with the same
("huge pages"). Batch normalization uses the statistics
of the batch ("training") or those it came with ("frozen"). \`standard operators\` is the training graph in stock ONNX Runtime,
\`native operators\` the one with our own. "Processor" is the median time that the process had a core, as others may use the machine.

${comparisons.map((comparison) => section(comparison, ours)).join('\n')}`;
}

function section({ network, batch, batchStatistics, rounds, timings }: Comparison, ours: readonly string[]): string {
  const own = timings.filter(({ name }) => ours.includes(name));
  const best = own.reduce((a, b) => (a.medianCpuMs < b.medianCpuMs ? a : b));
  const columns = ['minimumMs', 'medianMs', 'medianCpuMs'] as const;
  const lines = timings.map((timing) => [
    timing.name,
    ...columns.map((column) => timing[column].toFixed(1)),
    ...columns.map((column) => (best[column] / timing[column]).toFixed(2)),
  ]);
  return `## ${network}, batch ${batch}, batch normalization ${batchStatistics ? 'training' : 'frozen'}

${rounds} rounds.

${markdownTable(HEADER, lines)}
`;
}

function commit(): string {
  try {
    const git = (...args: string[]) => execFileSync('git', args, { encoding: 'utf8' }).trim();
    return git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain', 'packages', 'bench') === '' ? '' : '+');
  } catch {
    return 'unknown';
  }
}
