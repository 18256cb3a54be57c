/**
 * Quantizes the real test models at N = 4, N = 64 and int8 and writes the table of size, bits per weight, accuracy and
 * latency.
 *
 *     npm run bench -- shared-data SETS
 *     npm run bench -- real-models SETS [--server http://127.0.0.1:8080] [--only resnet20] [--out FILE.md]
 *
 * Without --server the command line does the work, with it a running service.
 */
import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Recipe, Report } from '@tritforge/contracts';
import { quantizeByCommand } from './real-models/by-command.js';
import { quantizeByServer } from './real-models/by-server.js';
import { markdownTable } from './shared/markdown-table.js';
import { type RealModel, readModels } from './shared-data/datasets.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const RECIPES: readonly (readonly [string, Recipe])[] = [
  ['int8', { method: 'int8' }],
  ['FGQ N=4', { method: 'fgq', weights: { groupSize: 4 } }],
  ['FGQ N=64', { method: 'fgq', weights: { groupSize: 64 } }],
];

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { server: { type: 'string' }, only: { type: 'string' }, out: { type: 'string' } },
  });
  if (positionals[0] === undefined) throw new Error('Usage: npm run bench -- real-models SETS [--server URL]');
  const models = await readModels(path.resolve(positionals[0]));
  const rows: string[][] = [];
  for (const model of models.filter(({ name }) => name.includes(values.only ?? ''))) {
    for (const [label, recipe] of RECIPES) {
      const started = performance.now();
      const report = values.server
        ? await quantizeByServer(values.server, model, recipe)
        : await quantizeByCommand(root, model, recipe);
      rows.push(row(model, label, report, (performance.now() - started) / 1000));
      process.stderr.write(`${rows.at(-1)!.join('  ')}\n`);
    }
  }
  const text = page(rows, values.server === undefined ? 'the command line' : 'the HTTP service');
  if (values.out === undefined) process.stdout.write(text);
  else await writeFile(values.out, text);
}

const HEADER = [
  'model',
  'recipe',
  'original bytes',
  'artifact bytes',
  'bits/weight (layers)',
  'bits/weight (model)',
  'metric',
  'fp32',
  'int8',
  'artifact',
  'drop ± s.e.',
  'agreement %',
  'fp32 ms',
  'int8 ms',
  'artifact ms',
  'artifact/int8',
  'job s',
];

function row(model: RealModel, label: string, report: Report, seconds: number): string[] {
  const { accuracy, latency } = report;
  const artifact = report.artifacts[0]!;
  const fixed = (value: number | null | undefined, digits: number) => value?.toFixed(digits) ?? '–';
  return [
    model.name,
    label,
    String(report.model.sizeBytes),
    String(artifact.sizeBytes),
    fixed(artifact.bitsPerWeight.quantizedLayers, 2),
    fixed(artifact.bitsPerWeight.wholeModel, 2),
    accuracy?.metric ?? '–',
    fixed(accuracy?.original, 2),
    fixed(accuracy?.int8, 2),
    fixed(accuracy?.quantized, 2),
    `${fixed(accuracy?.drop, 2)} ± ${fixed(accuracy?.pairedStandardError, 2)}`,
    fixed(accuracy?.agreement, 1),
    fixed(latency?.originalMs, 3),
    fixed(latency?.int8Ms, 3),
    fixed(latency?.quantizedMs, 3),
    latency?.int8Ms ? (latency.quantizedMs / latency.int8Ms).toFixed(3) : '–',
    seconds.toFixed(1),
  ];
}

function page(rows: readonly string[][], way: string): string {
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: root, encoding: 'utf8' }).trim();
  return `# Real models

Made by \`npm run bench -- real-models\` through ${way}; commit ${commit}, Node ${process.version},
${os.cpus()[0]?.model.trim()}, ${os.cpus().length} cores. Latency: medians of interleaved runs at batch 1 on one thread;
"artifact/int8" compares with the plain int8 QDQ model of the same network in the same run. Nothing was trained or corrected:
FGQ is the method as published, with the exact solver.

${markdownTable(HEADER, rows)}
`;
}

await main();
