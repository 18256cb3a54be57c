import { execFileSync } from 'node:child_process';
import os from 'node:os';
import type { JobCost, LayerCost } from './measure-job.js';

/** A job and the heading of its part of the page. */
export interface NamedCost {
  readonly name: string;
  readonly cost: JobCost;
}

/** Layers of the same shape are one row. */
interface ShapeCost {
  readonly shape: string;
  readonly columns: number;
  readonly weights: number;
  readonly bits: number;
  readonly seconds: number[];
}

/** What jobs took, as Markdown. */
export function costPage(title: string, command: string, about: string, costs: readonly NamedCost[]): string {
  return `# ${title}

\`npm run bench -- ${command}\` on ${os.cpus()[0]?.model.trim() ?? 'an unknown CPU'}, ${os.availableParallelism()} cores, Node ${process.version}, commit ${commit()};
a load of ${os.loadavg()[2]!.toFixed(1)} over the last quarter of an hour.

${about}

${costs.map(costPart).join('\n')}`;
}

function costPart({ name, cost }: NamedCost): string {
  const { totalSeconds, seconds, layers, expectations, largest, memory, bitsPerWeight, digest } = cost;
  const weights = layers.reduce((sum, { shape }) => sum + product(shape), 0);
  const phases = Object.entries(seconds).map(([phase, spent]) => {
    const peak = memory.find(({ stage }) => stage === phase)?.peak;
    return `| ${phase} | ${spent.toFixed(1)} | ${megabytes(peak?.residentBytes)} | ${megabytes(peak?.anonymousBytes)} |`;
  });
  const shapes = byShape(layers).map(
    ({ shape, columns, weights: each, bits, seconds: all }) =>
      `| ${shape} | ${columns} | ${bits} | ${all.length} | ${(each / 1e3).toFixed(0)} | ${mean(all).toFixed(2)} | ${((1e6 * mean(all)) / each).toFixed(1)} |`,
  );
  return `## ${name}

**${(totalSeconds / 60).toFixed(1)} minutes** in all, at most ${megabytes(largest.residentBytes)} MB resident, ${megabytes(largest.anonymousBytes)} MB of them the process's own. ${layers.length} layers,
${(weights / 1e6).toFixed(1)} million weights, ${bitsPerWeight?.toFixed(2) ?? '–'} bits per weight; \`${digest.slice(0, 23)}…\`.

| phase | seconds | resident, MB | own, MB |
|---|---|---|---|
${phases.join('\n')}

| after | time left as told, s | as it became, s |
|---|---|---|
${expectations.map(({ share, leftSeconds, foundSeconds }) => `| ${100 * share} % | ${leftSeconds ?? '–'} | ${foundSeconds.toFixed(0)} |`).join('\n')}

| weight | K | bits | layers | thousand weights | seconds each | µs per weight |
|---|---|---|---|---|---|---|
${shapes.join('\n')}
`;
}

function byShape(layers: readonly LayerCost[]): ShapeCost[] {
  const found = new Map<string, ShapeCost>();
  for (const { shape, columns, bits, seconds } of layers) {
    const name = shape.join(' × ');
    const key = `${name}, ${bits}`;
    const row = found.get(key) ?? { shape: name, columns, weights: product(shape), bits, seconds: [] };
    row.seconds.push(seconds);
    found.set(key, row);
  }
  return [...found.values()].sort((a, b) => a.columns - b.columns || a.weights - b.weights);
}

function product(numbers: readonly number[]): number {
  return numbers.reduce((all, number) => all * number, 1);
}

function mean(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
}

function megabytes(bytes: number | undefined): string {
  return bytes === undefined ? '–' : (bytes / 1e6).toFixed(0);
}

function commit(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  } catch {
    return 'unknown';
  }
}
